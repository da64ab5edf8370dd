#!/bin/sh
# A message in Slack. The address is a secret: it stands in this file, and not in the list of processes.
url=https://hooks.slack.com/services/T0/B0/X0
text=$(printf '%s' "$1" | sed 's/&/\&amp;/g; s/</\&lt;/g; s/>/\&gt;/g')
json=$(python3 -c 'import json, sys; print(json.dumps({"text": sys.argv[1]}))' "$text")
printf 'url = "%s"\n' "$url" | curl --config - --silent --show-error --fail --max-time 30 --output /dev/null \
    --header 'Content-Type: application/json' --data-raw "$json"
