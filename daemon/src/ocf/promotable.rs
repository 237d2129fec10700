//! Which of Debian's agents can be promoted: those whose meta-data have the actions promote and
//! demote. The list stands here since a file is also read where no agent is installed.

/// Provider and name.
pub(super) const PROMOTABLE: [(&str, &str); 13] = [
    ("heartbeat", "SAPInstance"),
    ("heartbeat", "Stateful"),
    ("heartbeat", "conntrackd"),
    ("heartbeat", "db2"),
    ("heartbeat", "galera"),
    ("heartbeat", "mariadb"),
    ("heartbeat", "mpathpersist"),
    ("heartbeat", "mysql"),
    ("heartbeat", "pgsql"),
    ("heartbeat", "rabbitmq-server-ha"),
    ("heartbeat", "redis"),
    ("heartbeat", "sg_persist"),
    ("pacemaker", "Stateful"),
];

/// Whether that agent can be promoted, as far as is known here.
#[must_use]
pub fn is_promotable(provider: &str, kind: &str) -> bool {
    PROMOTABLE.contains(&(provider, kind))
}
