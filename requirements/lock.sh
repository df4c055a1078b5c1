#!/bin/sh
# Finds the exact versions again: the newest and the lowest that the ranges allow. Usage: lock.sh UV
set -eu
cd "$(dirname "$0")/.."
uv=$1
mkdir -p build

lock() {  # FILE TITLE OPTION...: writes the versions of all that requirements.txt and standard input name
  file=$1 title=$2
  shift 2
  { echo "# $title" && echo "# Made again with: make lock"
    "$uv" pip compile --quiet --python-version 3.11 --no-header --no-annotate "$@" requirements.txt -
  } > build/new.lock
  mv build/new.lock "$file"
}

# Beside what the files name: uv, which installs them, and what builds this project. TensorBoard 2.19 imports
# pkg_resources, which left setuptools with version 82. backports.strenum 1.3 is for Python below 3.11, as pip knows;
# uv reads lower bounds only.
lock requirements.lock "The exact versions that make installs: everything that requirements.txt leads to." \
  --universal --fork-strategy fewest <<END
uv
wheel>=0.40
setuptools>=69,<82
backports.strenum<1.3
END
# uv settles protobuf before TensorFlow, and would then stop at TensorFlow 2.20.
lock requirements/lowest.lock "The lowest versions that requirements.txt allows, on Linux with Python 3.11." \
  --python-platform linux --resolution lowest-direct <<END
uv>=0.7
wheel>=0.40
setuptools>=69,<82
backports.strenum<1.3
tensorflow<2.20
END
# Ends with an error if what Studio's image lacks does not go with what it has.
"$uv" pip compile --quiet --python-version 3.12 --python-platform linux requirements/studio.txt > /dev/null
