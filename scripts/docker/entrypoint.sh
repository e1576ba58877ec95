#!/bin/sh
# Runs pubsub-broker at the container's own address, which is known only now: the broker
# tells it to others, so it cannot be 0.0.0.0. `check` and `status` ask this broker.
# PUBSUB_ADDRESS and PUBSUB_PORT say otherwise; the port of --port would not reach `check`.
set -eu
address=${PUBSUB_ADDRESS:-$(hostname -i | cut -d ' ' -f 1)}
port=${PUBSUB_PORT:-5555}
case ${1-} in
check | status)
    command=$1
    shift
    exec pubsub-broker "$command" --broker-address "$address" --broker-port "$port" "$@"
    ;;
*)
    exec pubsub-broker --bind "$address" --port "$port" "$@"
    ;;
esac
