# Completion for bash: share/bash-completion/completions/millstream.
_millstream() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
    COMPREPLY=()
    case $before in
        --to)
            mapfile -t COMPREPLY < <(compgen -W "localhost:8000" -- "$word")
            compopt -o nospace
            return
            ;;
        --listen)
            mapfile -t COMPREPLY < <(compgen -W "127.0.0.1 unix:" -- "$word")
            compopt -o nospace
            return
            ;;
        --probe)
            mapfile -t COMPREPLY < <(compgen -W "localhost:9090/readyz" -- "$word")
            return
            ;;
        --reload)
            mapfile -t COMPREPLY < <(compgen -W "localhost:9090" -- "$word")
            return
            ;;
        --hash-key)
            return
            ;;
    esac
    if [[ $word == -* ]]; then
        local options="--check -t -c -f --to --listen --sandbox --hash-key --probe --reload"
        options+=" --version --help"
        mapfile -t COMPREPLY < <(compgen -W "$options" -- "$word")
    else
        compopt -o filenames
        mapfile -t COMPREPLY < <(compgen -f -X '!*.toml' -- "$word"; compgen -d -- "$word")
    fi
}
complete -F _millstream millstream
