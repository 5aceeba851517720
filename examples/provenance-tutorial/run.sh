#!/usr/bin/env bash
# Runs the provenance tutorial on local hosts, answers its question, and leaves nothing but the results.
#   run.sh E2CLAB [toy|digits]
set -euo pipefail
e2clab=$1
here=$(cd "$(dirname "$0")" && pwd)
scenario=$here
[ "${2:-toy}" = toy ] || scenario=$here/$2

question="SELECT i.kernel_size, i.num_kernels, i.length_of_strides, i.pooling_size, o.accuracy, o.training_time
FROM training_input i JOIN training_output o ON i.training_task_id = o.training_task_id
WHERE o.accuracy > 0.9 ORDER BY o.accuracy DESC"

# whatever happens, the hosts are released
trap '"$e2clab" --quiet destroy "$scenario" >/dev/null 2>&1 || true' EXIT
"$e2clab" destroy "$scenario"
results=$("$e2clab" --testbed local deploy "$scenario" "$here/artifacts")

echo
echo "Which hyperparameters gave accuracy above 90 %?"
echo
"$e2clab" query "$scenario" "$question" | tee "$results/answer.txt"
echo
"$e2clab" inspect "$scenario" >"$results/inspect.txt"
"$e2clab" destroy "$scenario"
trap - EXIT
echo "Results: $results"
echo "  provenance-data/   the database as SQL dump and CSV"
echo "  network-validate/  the links, asked and measured"
echo "  workflow-validate.out, layers_services-validate.yaml, manifest.json, e2clab.log"
