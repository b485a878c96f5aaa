"""Shares of files."""

import pytest

from kerassl import UserError
from kerassl._io.parts import Part, part_outputs, read_part, relative_names

pytestmark = pytest.mark.current_stack


def test_each_name_is_in_one_share_and_stays_there_when_others_come():
    names = [f"folder/{number}.jpg" for number in range(500)]
    shares = [Part(number, 7).places(names) for number in range(1, 8)]
    assert sorted(place for share in shares for place in share) == list(range(500))
    assert max(map(len, shares)) < 2 * 500 / 7
    some = names[::3]
    for number, share in enumerate(shares, 1):
        kept = [some[place] for place in Part(number, 7).places(some)]
        assert kept == [name for name in (names[place] for place in share) if name in set(some)]


def test_names_are_the_same_wherever_the_folder_is(tmp_path, monkeypatch):
    (tmp_path / "photos" / "a").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    for root in ("photos", str(tmp_path / "photos")):
        assert relative_names([f"{root}/a/1.jpg", f"{root}/2.jpg"], [root]) == ["a/1.jpg", "2.jpg"]
        assert relative_names([f"{root}/a/1.jpg", f"{root}/2.jpg"], [f"{root}/a", f"{root}/2.jpg"]) == [
            "a/1.jpg", "2.jpg"
        ]  # fmt: skip


@pytest.mark.parametrize("text", ["0/3", "4/3", "3", "1/0", "a/b", "1/2/3", "-1/3", ""])
def test_part_is_refused_when_it_names_no_share(text):
    with pytest.raises(UserError, match="3/16"):
        read_part(text)


def test_outputs_are_in_order_and_refused_when_one_is_missing_or_of_other_parts(tmp_path):
    assert part_outputs(tmp_path) == []
    for number in range(1, 12):
        (tmp_path / Part(number, 12).name).mkdir()
    with pytest.raises(UserError, match="lacks 1 of 12 parts, 12/12"):
        part_outputs(tmp_path)
    (tmp_path / f"{Part(12, 12).name}.npz").touch()
    assert [path.name[:7] for path in part_outputs(tmp_path)] == [f"part-{number:02d}" for number in range(1, 13)]
    (tmp_path / Part(2, 3).name).mkdir()
    with pytest.raises(UserError, match="parts of 3 and of 12"):
        part_outputs(tmp_path)
