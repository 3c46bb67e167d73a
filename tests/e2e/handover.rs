//! An engine is replaced while clients come and go: nobody is refused.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rustix::process::Signal;
use testkit::http::{self, Request};
use testkit::{DEADLINE, Engine, Faults, eventually};

#[test]
fn an_upgrade_refuses_nobody() {
    let mut engine = Engine::ours();
    let upgrades = Faults::of(50).count;
    let (stop, served) = (AtomicBool::new(false), AtomicU64::new(0));
    let socket = engine.socket().to_path_buf();
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    while !stop.load(Ordering::Relaxed) {
                        let reply = http::call(&socket, &Request::new("GET", "/_ping"));
                        assert_eq!(
                            reply.map(|reply| reply.text()).map_err(|error| error.to_string()),
                            Ok("OK".into())
                        );
                        served.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        for _ in 0..upgrades {
            let (ready, before) =
                (engine.log().matches("API listen on").count(), served.load(Ordering::Relaxed));
            engine.daemon().signal(Signal::USR2);
            eventually(DEADLINE, || match engine.log().matches("API listen on").count() {
                now if now > ready => Ok(()),
                _ if clients.iter().any(std::thread::ScopedJoinHandle::is_finished) => Ok(()),
                _ => Err(engine.log()),
            });
            eventually(DEADLINE, || match served.load(Ordering::Relaxed) {
                now if now > before + 20 => Ok(()),
                _ if clients.iter().any(std::thread::ScopedJoinHandle::is_finished) => Ok(()),
                now => Err(now),
            });
        }
        stop.store(true, Ordering::Relaxed);
    });
    engine.get("/_ping").expect(200);
}
