#!/bin/sh
# Create or upgrade Temporal's two databases. Runs to its end before every start of the server; repeating it is safe.
set -eu

for database in temporal temporal_visibility; do
  case "$database" in
    temporal) kind=temporal ;;
    *) kind=visibility ;;
  esac
  tool() { temporal-sql-tool --plugin postgres12 --ep "$POSTGRES_SEEDS" -p "$DB_PORT" -u "$POSTGRES_USER" --db "$database" "$@"; }
  tool create
  tool setup-schema -v 0.0 || echo "schema of $database is there already"
  tool update-schema -d "/etc/temporal/schema/postgresql/v12/$kind/versioned"
done
