"""The tables of the second page and the sentences that title them, a module for each experiment."""

from git_to_pod.report.tables.api_outages import outages_finding, outages_table
from git_to_pod.report.tables.break_even import break_even_table
from git_to_pod.report.tables.candidates import candidates_finding, candidates_table, not_measured_table
from git_to_pod.report.tables.content_sizes import sizes_finding, sizes_table
from git_to_pod.report.tables.fan_out import fan_out_finding, fan_out_table
from git_to_pod.report.tables.faults import faults_finding, faults_table
from git_to_pod.report.tables.git_hosts import git_hosts_finding, git_hosts_tables
from git_to_pod.report.tables.gitops import gitops_finding, gitops_table
from git_to_pod.report.tables.poll_intervals import intervals_finding, intervals_table
from git_to_pod.report.tables.recommendation import recommendation_section, weights_table
from git_to_pod.report.tables.scale import polls_finding, polls_tables
from git_to_pod.report.tables.starts import starts_finding, starts_table
from git_to_pod.report.tables.startup_orders import startup_chart, startup_finding, startup_table
from git_to_pod.report.tables.versions import versions_table

__all__ = [
    "break_even_table",
    "candidates_finding",
    "candidates_table",
    "fan_out_finding",
    "fan_out_table",
    "faults_finding",
    "faults_table",
    "git_hosts_finding",
    "git_hosts_tables",
    "gitops_finding",
    "gitops_table",
    "intervals_finding",
    "intervals_table",
    "not_measured_table",
    "outages_finding",
    "outages_table",
    "polls_finding",
    "polls_tables",
    "recommendation_section",
    "sizes_finding",
    "sizes_table",
    "starts_finding",
    "starts_table",
    "startup_chart",
    "startup_finding",
    "startup_table",
    "versions_table",
    "weights_table",
]
