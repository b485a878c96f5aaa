"""How good are features that are distilled from a network, beside those of contrast in as many minutes?

    python -m studies.distillation choose --data DATA --out FOLDER     # settings of distillation, a change each
    python -m studies.distillation run --data DATA --out FOLDER        # pre-trainings, and what they are worth
    python -m studies.distillation run --data DATA --out FOLDER --test # on the test images, once settings are final
    python -m studies.distillation latency --data DATA --out FOLDER    # of the students and their teacher
    … --plan prints the commands, --students and --seeds do a part, --small tries all on a few scenes

`DATA` holds VOCdevkit/VOC2007, unlabelled/, voc_unlabelled/ and mobilenet_v1_1.0_imagenet_minus_pw13.npz. The teacher
is ImageNet's MobileNet, which saw labels. Students begin with random weights, and see the images of the three folders
and of VOC 2007 train without labels. All is done by commands of kerassl, in a folder of `FOLDER` each: stopped at any
time, the same command continues. Results are files of `studies/results/distillation`, one a trial.

The longest distilled backbone is also self-trained on, beside a control of as many images with labels alone. Minutes
become epochs by the pace of the first two (`FOLDER/pace`). Seeds of labels and heads begin with that of the
pre-training, so that all three vary between seeds. Without `--test` the 200 images of VOC 2007 val that settings are
chosen on are scored (`compare.tuning_images`), with it the other 800, which nothing else reads.
"""

import argparse
import json
import pathlib
import shlex
import statistics
import subprocess
import sys
import time

import yaml

from kerassl.comparison.summary import summarize
from kerassl.report.comparison import comparison_text

from benchmarks import machine  # isort: skip

RESULTS = pathlib.Path(__file__).with_name("results") / "distillation"
STUDENTS = ("EfficientNetB1", "MobileNetV3Small")
MINUTES = (40, 80)
SEEDS = (0, 100)
CHOOSING = {"student": "EfficientNetB1", "epochs": 8}
CUT = "conv_pw_12_relu"  # where the file of the teacher ends
BOXES = {"epochs": 4, "images": 4000}
VIEWS = {"image_size": 96, "load_size": 128, "batch_size": 64, "smallest_crop": 0.2, "strength": 0.5, "cache": "memory"}
DISTILL = {**VIEWS, "levels": ["P4", "P5"], "learning_rate": 2e-3}
PRETRAIN = {**VIEWS, "decoupled": True, "temperature": 0.1, "hidden_dim": 2048, "projection_dim": 256, "dense": {}}
"""The best recipe of the study of contrast. As there, batch normalization is re-estimated for frozen features."""
FROZEN = {"image_size": 224, "batch_size": 32, "epochs": 12, "batch_norm": "re-estimated"}
DETECTOR = {
    "kind": "yolov8", "num_filters": 64, "image_size": 160, "batch_size": 16, "epochs": 32, "learning_rate": 1e-3,
    "lr_multipliers": {"backbone": 0.1}, "augmentation": {}, "ema": 0.99, "labels": [300],
}  # fmt: skip
CHANGES = {
    "base": {},
    "P5": {"levels": ["P5"]},
    "P3 to P5": {"levels": ["P3", "P4", "P5"]},
    "rate 0.001": {"learning_rate": 1e-3},
    "rate 0.004": {"learning_rate": 4e-3},
    "smaller crops": {"smallest_crop": 0.08},
    "larger crops": {"smallest_crop": 0.5},
    "no color": {"strength": 0.0},
    "128 px": {"image_size": 128, "load_size": 160},
    "dense contrast": {"contrast": "dense"},
    "global contrast": {"contrast": "global"},
}
"""The changes of each trial of `choose` in the section `distill`."""
WAYS = {"distilled": "distill", "contrast": "pretrain"}
"""Command and section of each kind of pre-training."""


class Study:
    """The commands of the study, done or printed.

    Args:
        options: those of the command line.
    """

    def __init__(self, options):
        self.options, self.small, self.planned = options, options.small, set()
        self.students = STUDENTS[1:] if self.small else options.students
        self.minutes = MINUTES[:1] if self.small else MINUTES
        self.seeds = SEEDS[:1] if self.small else options.seeds
        self.split = "test" if options.test else "tuning"

    def choose(self):
        """Compare short distillations."""
        names = [*CHANGES][:2] if self.small else [*CHANGES]
        epochs = {"epochs": 1 if self.small else CHOOSING["epochs"]}
        config = self._common(self.students[0] if self.small else CHOOSING["student"]) | self._sections()
        config["variants"] = {name: {"distill": {**CHANGES[name], **epochs}} for name in names}
        config["compare"] |= {"labels": config["compare"]["labels"][:2], "baseline": "base"}
        del config["detector"]
        self._compare("choose", config)

    def run(self):
        """Pre-train every student by both ways, and measure what all of them are worth."""
        for student in self.students:
            for seed in self.seeds:
                variants = {}
                for minutes in self.minutes:
                    for name in WAYS:
                        file = str(self._pretrained(student, seed, name, minutes))
                        variants[f"{name} {minutes}"] = file
                        if not self.small:
                            variants[f"{name} {minutes} + boxes"] = {"start": file, "neck": BOXES}
                longest = [f"{name} {self.minutes[-1]}" for name in WAYS]
                detectors = [*longest, "random"]
                if not self.small:
                    start, taught = variants[longest[0]], f"{longest[0]}, self-trained"
                    variants[taught] = {"start": start, "self_train": {}}
                    variants[f"{longest[0]}, control"] = {"start": start, "control_of": taught}
                    detectors += [taught, f"{longest[0]}, control"]
                config = self._common(student, seed) | {"variants": {**variants, "random": "random"}}
                config["detector"] |= {"variants": detectors}
                config["compare"] |= {"baseline": longest[1]}
                self._compare(f"{student}-{seed}", config)
        for seed in self.seeds:
            teacher = self._teacher()
            config = self._common(teacher["teacher"], seed) | {"variants": {"teacher": teacher["teacher_weights"]}}
            self._compare(f"teacher-{seed}", config | {"cut_at": teacher.get("teacher_cut_at")})
        self._summarize()

    def latency(self):
        """Measure one image of 224 pixels through each network, in turns."""
        from kerassl import backbones  # here: it loads TensorFlow, which the commands load themselves

        import tensorflow as tf  # isort: skip

        names, image = (self._teacher()["teacher"], *self.students), tf.zeros([1, 224, 224, 3])
        cuts = {"MobileNet": CUT}
        networks = {name: tf.function(backbones.build(name, cut_at=cuts.get(name))) for name in dict.fromkeys(names)}
        found = {name: [] for name in networks}
        for _ in range(3 if self.small else 50):
            for name, network in networks.items():
                begun = time.perf_counter()
                network(image).numpy()
                found[name].append(1000 * (time.perf_counter() - begun))
        self._write("latency", {name: {"ms": statistics.median(times[1:])} for name, times in found.items()})

    def _common(self, backbone, seed=0):
        """The settings that all comparisons share."""
        sections = {"frozen": dict(FROZEN), "detector": dict(DETECTOR)}
        grid = {"labels": [100, 300, 1000], "seeds": 3, "tuning_images": 200}
        if self.small:
            sections["frozen"] |= {"image_size": 64, "batch_size": 4, "epochs": 1, "num_filters": 8}
            sections["detector"] |= {"image_size": 64, "batch_size": 4, "epochs": 1, "num_filters": 16, "labels": [8]}
            grid = {"labels": [4, 8], "seeds": 1, "tuning_images": 4}
        grid["split"] = "report" if self.options.test else "tuning"
        drawn = {"images": 1 if self.small else 4, "level": "P4"}
        return {"backbone": backbone, "seed": seed, "data": self._data(), **sections, "compare": grid, "explain": drawn}

    def _data(self):
        if self.small:
            return {"scenes": {"train": 12, "val": 8, "unlabeled": 16, "single_object": True}}
        voc = str(self.options.data / "VOCdevkit" / "VOC2007")
        return {
            "unlabeled": [str(self.options.data / name) for name in ("unlabelled/", "voc_unlabelled/")],
            "train": {"path": voc, "split": "train"},
            "test": {"path": voc, "split": "val"},
        }

    def _teacher(self):
        if self.small:
            return {"teacher": "MobileNetV3Small", "teacher_weights": "random"}
        file = self.options.data / "mobilenet_v1_1.0_imagenet_minus_pw13.npz"
        return {"teacher": "MobileNet", "teacher_weights": str(file), "teacher_cut_at": CUT}

    def _sections(self):
        distill, pretrain = {**DISTILL, **self._teacher()}, dict(PRETRAIN)
        if self.small:
            for section in (distill, pretrain):
                section |= {"image_size": 32, "load_size": 32, "batch_size": 8}
        return {"distill": distill, "pretrain": pretrain}

    def _pretrained(self, student, seed, name, minutes):
        """The backbone of a pre-training of so many minutes."""
        pace = self._pretrain(f"pace/{student}-{name}", student, 0, name, 1 if self.small else 2)
        if self.options.plan:
            epochs = 1
        else:
            measured = json.loads((pace / f"{WAYS[name]}.json").read_text())
            epochs = 1 if self.small else max(1, round(minutes / (measured["minutes"] / measured["epochs"])))
        folder = self._pretrain(f"{student}-{seed}-{name}-{minutes}", student, seed, name, epochs)
        return folder / "backbone.keras"

    def _pretrain(self, title, student, seed, name, epochs):
        way, folder = WAYS[name], self.options.out / title
        section = {way: {**self._sections()[way], "epochs": epochs}}
        config = {"backbone": student, "weights": "random", "seed": seed, "data": self._data(), **section}
        if not (folder / f"{way}.json").is_file() or not (folder / "results.json").is_file():
            self._command(way, title, config)
        return folder

    def _compare(self, title, config):
        title = f"{title}-{self.split}"
        if not (self.options.out / title / "results.json").is_file():
            self._command("compare", title, config)
        for file in sorted((self.options.out / title / "trials").rglob("*.json")):
            trial = json.loads(file.read_text())
            if "protocol" in trial:
                kept = {key: value for key, value in trial.items() if key != "per_image"}
                self._write(f"{title}/{file.parent.name}/{file.stem}", {"comparison": title, **kept})

    def _command(self, command, title, config):
        folder = self.options.out / title
        arguments = ["-m", "kerassl", command, "--out", str(folder)]
        if self.options.plan:
            if title not in self.planned:
                print(shlex.join(["python", *arguments, "--config", f"{folder}.yaml"]))
            self.planned.add(title)
            return
        if folder.is_dir():
            arguments.append("--resume")
        else:
            folder.parent.mkdir(parents=True, exist_ok=True)
            folder.with_name(f"{folder.name}.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
            arguments += ["--config", f"{folder}.yaml"]
        print(shlex.join(["python", *arguments]), flush=True)
        subprocess.run([sys.executable, *arguments], check=True)

    def _write(self, name, content):
        root = self.options.out / "results" if self.small else RESULTS
        file = root / f"{name}.json"
        if self.options.plan or file.is_file():
            return
        file.parent.mkdir(parents=True, exist_ok=True)
        about = {"date": time.strftime("%Y-%m-%d"), "commit": machine.about()["commit"]}
        file.write_text(json.dumps({**content, **about}, indent=1) + "\n", encoding="utf-8")

    def _summarize(self):
        """Print the means of a student's variants over both seeds, beside the teacher's, with intervals."""
        for student in self.students:
            titles = [f"{name}-{seed}-{self.split}" for name in (student, "teacher") for seed in self.seeds]
            files = [file for title in titles for file in (self.options.out / title / "trials").rglob("*.json")]
            trials = [trial for file in files if "protocol" in (trial := json.loads(file.read_text()))]
            variants = {trial["variant"] for trial in trials}
            baseline = f"contrast {self.minutes[-1]}"
            if baseline in variants and not self.options.plan:
                pairs = [(name, "teacher") for name in sorted(variants - {"teacher"}) if "teacher" in variants]
                print(
                    f"\n{student}, {self.split}\n{comparison_text(summarize(trials, baseline=baseline, pairs=pairs))}"
                )


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m studies.distillation", description=__doc__.splitlines()[0])
    parser.add_argument("step", choices=("choose", "run", "latency"))
    parser.add_argument("--data", type=pathlib.Path, help="the folder of images and weights; needless with --small")
    parser.add_argument("--out", required=True, type=pathlib.Path, help="the folder of all runs")
    parser.add_argument("--test", action="store_true", help="score the test images, once settings are final")
    parser.add_argument("--plan", action="store_true", help="print the commands, and do nothing")
    parser.add_argument("--students", nargs="+", choices=STUDENTS, default=STUDENTS)
    parser.add_argument("--seeds", nargs="+", type=int, choices=SEEDS, default=SEEDS, help="of the pre-training")
    parser.add_argument("--small", action="store_true", help="little networks, a few generated scenes, one epoch")
    options = parser.parse_args(arguments)
    if options.data is None and not options.small:
        parser.error("give --data the folder of images and weights, or --small")
    if options.step == "choose" and options.test:
        parser.error("settings are not chosen on the test images; leave --test out")
    options.data, options.out = options.data and options.data.resolve(), options.out.resolve()
    getattr(Study(options), options.step)()


if __name__ == "__main__":
    main()
