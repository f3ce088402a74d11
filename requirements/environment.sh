# Sourced by ./start and ./check: a virtual environment with pinned packages and Millpond itself.

# install_into FOLDER LIST...: make the environment unless it is there and as the lists ask for.
install_into() {
    folder=$1
    shift
    python=${PYTHON:-python3}
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
        echo "Python 3.11 or newer is needed; set PYTHON to one." >&2
        exit 1
    }
    wanted=$(for list in "$@"; do cat "requirements/$list.txt"; done | cksum)
    if [ "$(cat "$folder/installed" 2>/dev/null)" != "$wanted" ]; then
        # Debian's Python may come without ensurepip: its pip then installs into the environment from outside.
        "$python" -m venv "$folder" 2>/dev/null || "$python" -m venv --clear --without-pip "$folder"
        for list in "$@"; do
            "$python" -m pip --python "$folder/bin/python" install -q --disable-pip-version-check --no-deps --require-hashes \
                -r "requirements/$list.txt"
        done
        "$python" -m pip --python "$folder/bin/python" install -q --disable-pip-version-check --no-deps -e .
        echo "$wanted" > "$folder/installed"
    fi
}
