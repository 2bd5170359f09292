#!/bin/sh
# Makes or updates the superuser, then becomes PocketBase.
set -eu
data=${POCKETBASE_DATA:-/pb_data}
listen=${POCKETBASE_LISTEN:-0.0.0.0:8090}
pocketbase superuser upsert "$POCKETBASE_EMAIL" "$POCKETBASE_PASSWORD" --dir="$data"
exec pocketbase serve --http="$listen" --dir="$data" \
  --migrationsDir="$data/migrations" --hooksDir="$data/hooks" --automigrate=false --hooksWatch=false
