# Completion for fish: share/fish/vendor_completions.d/millstream.fish.
complete -c millstream -f
complete -c millstream -n 'not __fish_seen_argument -s c -s f -l to -l hash-key -l probe -l reload' -k -xa '(__fish_complete_suffix .toml)'
complete -c millstream -s t -l check -d 'Print what a configuration does, or what is wrong with it'
complete -c millstream -s c -s f -r -k -xa '(__fish_complete_suffix .toml)' -d 'The configuration'
complete -c millstream -l to -xa 'localhost:8000' -d 'Run without a file: send everything to this URL'
complete -c millstream -l listen -n '__fish_seen_argument -l to' -xa '127.0.0.1:8080 unix:' -d 'The address to listen on'
complete -c millstream -l sandbox -d 'Open and call nothing but what is needed'
complete -c millstream -l hash-key -d 'Print the keys_file entry for a key of this name'
complete -c millstream -l reload -xa 'http://127.0.0.1:9090' -d 'Have the process with this admin listener reload its file'
complete -c millstream -l probe -xa 'http://127.0.0.1:9090/readyz' -d 'Ask whether a URL is answered with 2xx'
complete -c millstream -s v -s V -l version -d 'Print the version'
complete -c millstream -s h -l help -d 'Print help'
