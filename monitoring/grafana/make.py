#!/usr/bin/env python3
"""Writes the dashboards. This is what is edited; dashboards/*.json is what Grafana reads.

    make.py            writes them beside this file
    make.py DIRECTORY  writes them there, for the test that compares
"""
import json
import pathlib
import sys

RATE = "$__rate_interval"
SELECTED = 'instance=~"$instance"'


def stat(title, expr, unit="short", steps=(), **more):
    return panel("stat", title, [(expr, "")], unit, steps, width=6, height=4, **more)


def graph(title, *queries, unit="short", steps=(), **more):
    return panel("timeseries", title, queries, unit, steps, width=12, height=8, **more)


def panel(kind, title, queries, unit, steps, width, height, help=""):
    colours = [{"color": "green", "value": None}]
    colours += [{"color": colour, "value": value} for value, colour in steps]
    return {
        "type": kind,
        "title": title,
        "description": help,
        "datasource": {"type": "prometheus", "uid": "prometheus"},
        "fieldConfig": {
            "defaults": {"unit": unit, "thresholds": {"mode": "absolute", "steps": colours}},
            "overrides": [],
        },
        "targets": [
            {"refId": chr(65 + place), "expr": expr, "legendFormat": legend}
            for place, (expr, legend) in enumerate(queries)
        ],
        "gridPos": {"w": width, "h": height},
    }


def quantiles(metric, by="", where=SELECTED):
    labels = f"le, {by}" if by else "le"
    return [
        (f"histogram_quantile({q}, sum by ({labels}) (rate({metric}_bucket{{{where}}}[{RATE}])))", legend)
        for q, legend in ((0.5, f"p50 {{{{{by}}}}}" if by else "p50"), (0.95, f"p95 {{{{{by}}}}}" if by else "p95"), (0.99, f"p99 {{{{{by}}}}}" if by else "p99"))
    ]


def per_second(metric, by, where=SELECTED):
    return (f"sum by ({by}) (rate({metric}{{{where}}}[{RATE}]))", " ".join(f"{{{{{label}}}}}" for label in by.split(", ")))


DASHBOARDS = {
    "overview": (
        "Overview",
        [
            stat("Instances up", 'sum(up{job="brownie-server"})', steps=[]),
            stat("Errors, 5 min", "brownie:http_error_ratio:5m", "percentunit", [(0.01, "yellow"), (0.05, "red")]),
            stat("p95, 5 min", "brownie:http_latency_p95:5m", "s", [(1, "yellow"), (2, "red")]),
            stat("Version", "count by (version) (brownie_build_info)", help="How many instances run which version."),
            graph("Traffic", per_second("brownie_http_requests_total", "status"), unit="reqps", help="Requests a second, by status."),
            graph("Latency", *quantiles("brownie_http_request_duration_seconds"), unit="s"),
            graph("Errors", ("brownie:http_error_ratio:5m", "5 min"), ("brownie:http_error_ratio:1h", "1 h"), ("brownie:http_error_ratio:6h", "6 h"), unit="percentunit", help="Share of answers that are 5xx. 0.1 % is what is promised."),
            graph("Saturation: connections", (f"brownie_db_connections_active{{{SELECTED}}} / brownie_db_connections_max{{{SELECTED}}}", "{{instance}}"), unit="percentunit", steps=[(0.9, "red")]),
            graph("Saturation: processor", (f'rate(process_cpu_seconds_total{{job="brownie-server",{SELECTED}}}[{RATE}])', "{{instance}}"), help="Cores in use."),
            graph("Saturation: memory", (f'process_resident_memory_bytes{{job="brownie-server",{SELECTED}}}', "{{instance}}"), unit="bytes"),
            graph("Busiest routes", (f"topk(10, sum by (method, route) (rate(brownie_http_requests_total{{{SELECTED}}}[{RATE}])))", "{{method}} {{route}}"), unit="reqps"),
            graph("Log-ins and credentials", per_second("brownie_auth_attempts_total", "method, outcome"), unit="reqps"),
        ],
    ),
    "database": (
        "Database",
        [
            stat("PostgreSQL", "min(pg_up)", steps=[]),
            stat("Connections of the server", "sum(pg_stat_activity_count) / max(pg_settings_max_connections)", "percentunit", [(0.8, "yellow"), (0.95, "red")]),
            stat("Size", 'sum(pg_database_size_bytes{datname!~"template.*|postgres"})', "bytes", [(5 * 2**30, "yellow"), (10 * 2**30, "red")]),
            stat("Waiting for a connection", "sum(brownie_db_connections_waiting)", steps=[(1, "yellow"), (10, "red")]),
            graph("Statements", per_second("brownie_db_query_duration_seconds_count", "operation, table"), unit="ops"),
            graph("Statements: latency", *quantiles("brownie_db_query_duration_seconds"), unit="s"),
            graph("Slowest tables", (f"topk(8, histogram_quantile(0.95, sum by (le, table) (rate(brownie_db_query_duration_seconds_bucket{{{SELECTED}}}[{RATE}]))))", "{{table}}"), unit="s", help="p95."),
            graph("Units of work", per_second("brownie_db_transaction_duration_seconds_count", "outcome"), unit="ops"),
            graph("Units of work: latency", *quantiles("brownie_db_transaction_duration_seconds"), unit="s"),
            graph("Pool", (f"sum(brownie_db_connections_active{{{SELECTED}}})", "active"), (f"sum(brownie_db_connections_idle{{{SELECTED}}})", "idle"), (f"sum(brownie_db_connections_max{{{SELECTED}}})", "most")),
            graph("Wait for a connection", *quantiles("brownie_db_connection_wait_seconds"), unit="s"),
            graph("What failed", per_second("brownie_db_errors_total", "kind"), unit="ops"),
            graph("Done again", per_second("brownie_db_retries_total", "cause"), unit="ops"),
            graph("Sessions of the server", ("sum by (state) (pg_stat_activity_count)", "{{state}}")),
            graph("Cache", per_second("brownie_cache_operations_total", "operation, outcome"), unit="ops"),
            graph("Redis: memory", ("redis_memory_used_bytes", "used"), unit="bytes", steps=[(512 * 2**20, "yellow"), (2**30, "red")]),
        ],
    ),
    "business": (
        "Business",
        [
            stat("Organizations", "brownie:organizations"),
            stat("Teams", "brownie:teams"),
            stat("Users", "brownie:users"),
            stat("Agent configurations", "brownie:agent_configs"),
            graph("Active incidents", ("brownie:incidents_active", "active"), steps=[(10, "yellow"), (25, "red")]),
            graph("Incidents by status", ("sum by (status) (max by (status, priority) (brownie_incidents))", "{{status}}")),
            graph("Incidents by priority", ("sum by (priority) (max by (status, priority) (brownie_incidents))", "{{priority}}")),
            graph("Incidents created in an hour", ("brownie:incidents_created:1h", "created")),
            graph("Time to resolution", *quantiles("brownie_incident_resolution_seconds"), unit="s"),
            graph("Users within a day", ("brownie:users_active", "active"), ("brownie:users", "all")),
            graph("Changes", per_second("brownie_audit_records_total", "resource, action"), unit="ops", help="Each has its audit row and its event."),
            graph("Events that wait", ("max(brownie_outbox_lag_events)", "events"), ("max(brownie_outbox_lag_seconds)", "seconds")),
            graph("Requests sent again", per_second("brownie_idempotency_total", "outcome"), unit="reqps"),
        ],
    ),
    "safety": (
        "Backups and certificates",
        [
            stat("Newest backup", "time() - max(brownie_backup_last_success_timestamp_seconds)", "s", [(86400, "yellow"), (93600, "red")]),
            stat("Last verified", "time() - max(brownie_backup_last_verified_timestamp_seconds)", "s", [(604800, "yellow"), (691200, "red")]),
            stat("Size", "max(brownie_backup_size_bytes)", "bytes"),
            stat("Backups kept", "max(brownie_backups)"),
            graph("Runs", (f"sum by (operation, outcome) (increase(brownie_backup_runs_total[1h]))", "{{operation}} {{outcome}}")),
            graph("How long they take", ("histogram_quantile(0.95, sum by (le, operation) (increase(brownie_backup_duration_seconds_bucket[1d])))", "{{operation}}"), unit="s"),
            graph("Certificates end in", ("min by (role) (brownie_certificate_expiry_timestamp_seconds) - time()", "{{role}}"), unit="s"),
            graph("Replacements", ("sum by (outcome) (increase(brownie_certificate_reloads_total[1h]))", "{{outcome}}"), ("max(brownie_certificate_refused)", "refused now")),
            stat("Migrations pending", "max(brownie_migrations_pending)", steps=[(1, "red")]),
            stat("Migrations applied", "max(brownie_migrations_applied)"),
        ],
    ),
    "errors": (
        "Errors",
        [
            graph("Problems by code", per_second("brownie_http_errors_total", "code"), unit="reqps", help="/problems/{code} explains each."),
            graph("5xx by route", (f'sum by (method, route, status) (rate(brownie_http_requests_total{{status=~"5..",{SELECTED}}}[{RATE}]))', "{{method}} {{route}} {{status}}"), unit="reqps"),
            graph("4xx by route", (f'topk(10, sum by (method, route, status) (rate(brownie_http_requests_total{{status=~"4..",{SELECTED}}}[{RATE}])))', "{{method}} {{route}} {{status}}"), unit="reqps"),
            graph("Database", per_second("brownie_db_errors_total", "kind"), unit="ops"),
            graph("Credentials that are not good", (f'sum by (method, outcome) (rate(brownie_auth_attempts_total{{outcome!="accepted",{SELECTED}}}[{RATE}]))', "{{method}} {{outcome}}"), unit="reqps"),
            graph("Error budget", ("1 - brownie:http_error_ratio:30d / 0.001", "left"), unit="percentunit", help="Of 0.1 % of a month's answers, what is left."),
            graph("Redis asked in vain", (f'sum by (operation) (rate(brownie_cache_operations_total{{outcome="failed",{SELECTED}}}[{RATE}]))', "{{operation}}"), ("min(brownie_cache_up)", "up"), unit="ops"),
        ],
    ),
}


def dashboard(name, title, panels):
    x = y = height = 0
    for place, one in enumerate(panels):
        at = one["gridPos"]
        if x + at["w"] > 24:
            x, y, height = 0, y + height, 0
        one["id"] = place + 1
        at["x"], at["y"] = x, y
        x, height = x + at["w"], max(height, at["h"])
    instance = {
        "name": "instance",
        "label": "Instance",
        "type": "query",
        "datasource": {"type": "prometheus", "uid": "prometheus"},
        "query": "label_values(brownie_build_info, instance)",
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
        "multi": True,
        "refresh": 2,
    }
    return {
        "uid": f"brownie-{name}",
        "title": f"Brownie: {title}",
        "tags": ["brownie"],
        "schemaVersion": 39,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": [instance]},
        "links": [{"type": "dashboards", "tags": ["brownie"], "asDropdown": True, "title": "Brownie"}],
        "panels": panels,
    }


def main():
    here = pathlib.Path(__file__).parent / "dashboards"
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else here
    for name, (title, panels) in DASHBOARDS.items():
        text = json.dumps(dashboard(name, title, panels), indent=2) + "\n"
        (folder / f"{name}.json").write_text(text)


if __name__ == "__main__":
    main()
