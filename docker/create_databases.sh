#!/bin/sh
# Run once by the PostgreSQL image on an empty volume: one database a service, each with an owner of its own, so that
# Airflow, which needs the catalogue, cannot read the others. psql takes the passwords from the environment itself:
# an argument could be read in the list of processes.
set -eu
for name in prefect mlflow factory; do
  variable=$(echo "$name" | tr a-z A-Z)_DB_PASSWORD
  psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" <<SQL
\getenv password $variable
CREATE ROLE $name LOGIN PASSWORD :'password';
CREATE DATABASE $name OWNER $name;
REVOKE CONNECT ON DATABASE $name FROM PUBLIC;
SQL
done
