# bash completion for nightjar(1)
_nightjar_names() {
	local documents
	documents=$(nightjar --json "$@" 2>/dev/null) || return
	grep -o '"name":"[^"/]*"' <<<"$documents" | cut -d'"' -f4 | sort -u
}

_nightjar() {
	local current=${COMP_WORDS[COMP_CWORD]} command= i
	local options="--socket --json --color= --help --version"
	for ((i = 1; i < COMP_CWORD; i++)); do
		case ${COMP_WORDS[i]} in
		--socket | --reason | --only | -n) ((i++)) ;;
		-*) ;;
		*) command=${COMP_WORDS[i]} && break ;;
		esac
	done
	case $command in
	start) options+=" --only --wait --reason" ;;
	retry) options+=" --only --dry-run --reason" ;;
	logs) options+=" --follow --failed --raw" ;;
	checks | runs) options+=" -n" ;;
	next) options+=" -n --cron --timezone --after" ;;
	approve | reject) options+=" --reason --yes" ;;
	cancel | drain | pause | resume) options+=" --reason" ;;
	esac
	if [[ $current == -* ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$options" -- "$current")
		return
	fi
	case $command in
	'' | help)
		mapfile -t COMPREPLY < <(compgen -W "approve cancel checks drain help jobs logs \
			metrics next pause reject reload resume retry runs show start status watch \
			why" -- "$current")
		;;
	next | pause | resume | runs | start | why)
		mapfile -t COMPREPLY < <(compgen -W "$(_nightjar_names jobs | grep -v '#')" -- "$current")
		;;
	approve | cancel | logs | reject | retry | show)
		mapfile -t COMPREPLY < <(compgen -W "$(_nightjar_names jobs | grep -v '#') \
			$(_nightjar_names runs)" -- "$current")
		;;
	esac
}
complete -F _nightjar nightjar
