#!/bin/sh
# Runs pubsub-broker at all IPv4 addresses of the container, so that its ports can be
# published. `check` and `status` ask this broker. Variables:
#   PUBSUB_ADDRESS       another address to serve, for example :: or, with --network host,
#                        one address of the host
#   PUBSUB_PORT          the control port; --port would not reach `check`
#   PUBSUB_FORWARD_PORT  the ports for forwarded events, one for each forwarder
#   PUBSUB_ADVERTISE     HOST or HOST:PORT of this broker for the others of its group
set -eu
address=${PUBSUB_ADDRESS:-0.0.0.0}
port=${PUBSUB_PORT:-5555}
case ${1-} in
check | status)
    command=$1
    shift
    exec pubsub-broker "$command" --broker-address "$address" --broker-port "$port" "$@"
    ;;
*)
    forward=${PUBSUB_FORWARD_PORT-}
    # A config file may say so, too. Wrong options get their error below.
    if pubsub-broker "$@" --print-config 2>/dev/null | grep -q '^centralized = true'; then
        forward=${forward:-5560-5569}
    fi
    exec pubsub-broker --bind "$address" --port "$port" \
        ${forward:+--forward-port "$forward"} \
        ${PUBSUB_ADVERTISE:+--advertise "$PUBSUB_ADVERTISE"} "$@"
    ;;
esac
