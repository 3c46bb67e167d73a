//! What the results of health checks mean for a container.

use std::time::Duration;

use super::super::handle::View;
use super::super::health::{self, Health, Probe, RESTART_LABEL, Status};
use super::super::record::Container;
use super::Actor;
use crate::signal;

const SIGTERM: i32 = 15;

impl Actor {
    /// The run begins: nothing is known yet.
    pub(super) fn watch_health(&mut self) {
        self.monitor = None;
        self.edit().health = health::command(&self.container().config).map(|_| Health::new());
        self.publish();
        if let Ok(handle) = self.index.get(&self.view.container.id) {
            self.monitor = health::watch(&self.shared, handle);
        }
    }

    pub(super) fn probed(&mut self, probe: Probe) {
        let View { container: Container { config, state, .. }, health, .. } = self.edit();
        let (Some(check), Some(live), Some(health)) = (&config.healthcheck, state.live(), health) else {
            return;
        };
        let before = health.status;
        health.take(check, probe, live.since);
        let now = health.status;
        self.publish();
        if now != before {
            self.shared.emit(self.container(), &format!("health_status: {}", now.as_str()), &[]);
        }
        if now == Status::Unhealthy && before != now && self.restarts_when_unhealthy() {
            self.restart_the_unhealthy();
        }
    }

    fn restarts_when_unhealthy(&self) -> bool {
        let labels = self.container().config.labels.as_ref();
        labels.and_then(|labels| labels.get(RESTART_LABEL)).is_some_and(|value| value == "true")
    }

    /// By its own inbox, as if somebody had asked for it: a stop that takes its time must not hold this task up.
    fn restart_the_unhealthy(&self) {
        let Ok(handle) = self.index.get(&self.view.container.id) else { return };
        let config = &self.container().config;
        let signal = signal::parse(&config.stop_signal).unwrap_or(SIGTERM);
        let patience = config.stop_timeout.unwrap_or(self.shared.settings.default_stop_timeout);
        let patience = u64::try_from(patience).ok().map(Duration::from_secs);
        tasks::spawn(async move {
            if let Err(error) = handle.restart(signal, patience).await {
                let container = handle.id();
                tracing::warn!(
                    container,
                    error = diag::chain(&error),
                    "an unhealthy container was not restarted"
                );
            }
        });
    }
}
