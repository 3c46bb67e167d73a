#compdef PROGRAM
# Completion of PROGRAM for zsh: put it into a folder of $fpath as _PROGRAM.

_PROGRAM() {
    local line directive
    local -a reply candidates
    reply=("${(@f)$(${words[1]} __complete "${(@)words[2,CURRENT]}" 2>/dev/null)}")
    directive="${reply[-1]#:}"
    reply[-1]=()
    for line in "${reply[@]}"; do
        line="${line//:/\\:}"
        candidates+=("${line/$'\t'/:}")
    done
    if ((directive & 16)); then
        _files -/
        return
    fi
    if ((${#candidates})); then
        if ((directive & 2)); then
            _describe -V candidates candidates -S ''
        else
            _describe -V candidates candidates
        fi
    elif ((!(directive & 4))); then
        _files
    fi
}

if [[ "${funcstack[1]}" = _PROGRAM ]]; then
    _PROGRAM "$@"
else
    compdef _PROGRAM PROGRAM
fi
