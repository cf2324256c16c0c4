# Completion for fish: share/fish/vendor_completions.d/millstream.fish.
complete -c millstream -f
complete -c millstream -n 'test (count (commandline -opc)) -eq 1' -k -xa '(__fish_complete_suffix .toml)'
complete -c millstream -l check -k -xa '(__fish_complete_suffix .toml)' -d 'Say what a configuration does, or what is wrong'
complete -c millstream -l to -xa 'http://' -d 'Run without a file: everything goes to this URL'
complete -c millstream -l listen -n '__fish_seen_argument -l to' -xa '127.0.0.1:8080 unix:' -d 'Where clients are waited for'
complete -c millstream -l hash-key -d 'Print what keys_file has for a key'
complete -c millstream -s V -l version -d 'Print the version'
complete -c millstream -s h -l help -d 'Print help'
