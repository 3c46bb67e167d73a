# Completion of PROGRAM for fish: put it into ~/.config/fish/completions/PROGRAM.fish.

function __PROGRAM_complete
    set -l words (commandline -opc) (commandline -ct)
    set -l reply ($words[1] __complete $words[2..-1] 2>/dev/null)
    set -l directive (string replace -r '^:' '' -- $reply[-1])
    set -e reply[-1]
    if test (count $reply) -gt 0
        printf '%s\n' $reply
    else if test (math "bitand($directive, 16)") -ne 0
        __fish_complete_directories (commandline -ct)
    else if test (math "bitand($directive, 4)") -eq 0
        __fish_complete_path (commandline -ct)
    end
end

complete -c PROGRAM -f -a '(__PROGRAM_complete)'
