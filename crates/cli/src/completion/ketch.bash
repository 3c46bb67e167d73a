# Completion of PROGRAM for bash: source it, or put it into /usr/share/bash-completion/completions/PROGRAM.

__PROGRAM_complete() {
    local word="${COMP_WORDS[COMP_CWORD]}" line directive reply
    # bash takes a word apart at = and :, the program doesn't.
    local -a words=("${COMP_WORDS[@]:1:COMP_CWORD}")
    if declare -F _get_comp_words_by_ref >/dev/null; then
        local cur cword
        _get_comp_words_by_ref -n "=:" cur words cword
        word="$cur"
        words=("${words[@]:1:cword}")
    fi
    COMPREPLY=()
    reply="$("${COMP_WORDS[0]}" __completeNoDesc "${words[@]}" 2>/dev/null)" || return
    directive="${reply##*:}"
    reply="${reply%:*}"
    while IFS= read -r line; do
        [[ -n "$line" ]] && COMPREPLY+=("$line")
    done <<<"$reply"
    if ((directive & 2)); then
        compopt -o nospace
    fi
    if ((directive & 16)); then
        compopt -o dirnames
    elif ((!(directive & 4))) && ((${#COMPREPLY[@]} == 0)); then
        compopt -o default
    fi
    if declare -F __ltrim_colon_completions >/dev/null; then
        __ltrim_colon_completions "$word"
    fi
}

complete -F __PROGRAM_complete PROGRAM
