#!/bin/bash
# Predict the boxes of any number of images by a job array of Slurm: each task takes a share of them.
#
#     sbatch examples/predict_array.sh detector.keras photos/ predictions/
#     kerassl evaluate --predictions predictions/ --data annotations.json      # the parts are read as one
#
# A task that was stopped or preempted continues where it was when it is started again. Further arguments go to `kerassl
# predict`, as --format yolo. For features write `kerassl embed --backbone … --out features/ --part …` in its place.
#
# Other schedulers count tasks as well. Kubernetes: an Indexed Job with $((JOB_COMPLETION_INDEX + 1))/16 as the part. Ray:
# `ray.remote(subprocess.run)` of this command for each part from 1/16 to 16/16.

#SBATCH --array=1-16
#SBATCH --cpus-per-task=4
#SBATCH --requeue

set -euo pipefail
model=$1 images=$2 out=$3
part="$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT"
kerassl predict --model "$model" --images "$images" --out "$out" --part "$part" --resume "${@:4}"
