#!/bin/sh
# Create the namespace with the retention and the search attributes that Holdfast needs. Repeating it is safe.
set -eu

attempt=0
until temporal operator cluster health >/dev/null 2>&1; do
  attempt=$((attempt + 1))
  [ "$attempt" -lt 60 ] || { echo "Temporal at $TEMPORAL_ADDRESS is not healthy" >&2; exit 1; }
  sleep 2
done

# the retention is how long a repeated event is recognised: at least 7 days
temporal operator namespace describe --namespace "$TEMPORAL_NAMESPACE" >/dev/null 2>&1 ||
  temporal operator namespace create --namespace "$TEMPORAL_NAMESPACE" --retention 30d
temporal operator namespace update --namespace "$TEMPORAL_NAMESPACE" --retention 30d

attempt=0
until known=$(temporal operator search-attribute list --namespace "$TEMPORAL_NAMESPACE"); do
  attempt=$((attempt + 1))
  [ "$attempt" -lt 60 ] || { echo "namespace $TEMPORAL_NAMESPACE does not answer" >&2; exit 1; }
  sleep 2
done
for name in HoldfastSource HoldfastEventId HoldfastEventType HoldfastTrigger HoldfastState HoldfastError HoldfastAssignee HoldfastKey; do
  echo "$known" | grep -qw "$name" ||
    temporal operator search-attribute create --namespace "$TEMPORAL_NAMESPACE" --name "$name" --type Keyword
done
