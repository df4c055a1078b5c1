#!/bin/bash
# Lifecycle configuration for a JupyterLab space of SageMaker Studio: clones the workshop and installs what the image
# lacks, each time the space starts, because a space keeps its home folder only. See README.md for how to attach it.
# Tried in a folder that stands in for a space; not yet in a real one.
set -euo pipefail
ADDRESS="${WORKSHOP_ADDRESS:-<address of this repository>}"
FOLDER="$HOME/workshop"
LOG="$HOME/workshop-setup.log"

[ -d "$FOLDER" ] || git clone --quiet "$ADDRESS" "$FOLDER"

# Studio ends a script after five minutes, and the space with it. So the installation goes on behind JupyterLab.
nohup bash -c '
  cd "$1"
  if python -m pip install --quiet -r requirements/studio.txt && python -m pip install --quiet --no-deps -e .; then
    echo "ready: open workshop/notebooks/00_start_here.ipynb"
  else
    echo "failed: read the lines above, then type them again in a terminal"
  fi
' workshop "$FOLDER" > "$LOG" 2>&1 &
echo "The workshop is being installed; $LOG ends with a line \"ready\"."
