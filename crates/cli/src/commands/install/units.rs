//! The units of the engine: systemd holds its socket, so that clients wait for it instead of failing.

use std::path::Path;

use super::files::{Content, Item};

/// Where units are: a package's in one place, an administrator's in another.
pub(super) fn folder(prefix: &Path) -> &'static Path {
    Path::new(match prefix == Path::new("/usr") {
        true => "/usr/lib/systemd/system",
        false => "/etc/systemd/system",
    })
}

pub(super) const SOCKET: &str = "ketch.socket";
pub(super) const SERVICE: &str = "ketch.service";

/// Both units. As docker, the engine is also where docker's clients look for it, and open to the group that they are in.
pub(super) fn all(prefix: &Path, program: &Path, as_docker: bool, group: Option<&str>) -> Vec<Item> {
    let docker = if as_docker { "ListenStream=/run/docker.sock\n" } else { "" };
    let group = group.map(|group| format!("SocketGroup={group}\n")).unwrap_or_default();
    let socket = format!(
        "[Unit]\n\
         Description=Socket of the Ketch container engine\n\
         \n\
         [Socket]\n\
         ListenStream=/run/ketch/ketch.sock\n\
         {docker}\
         SocketMode=0660\n\
         SocketUser=root\n\
         {group}\
         \n\
         [Install]\n\
         WantedBy=sockets.target\n"
    );
    let service = format!(
        "[Unit]\n\
         Description=Ketch container engine\n\
         Documentation=man:ketch(1)\n\
         After=network-online.target nss-lookup.target time-set.target\n\
         Wants=network-online.target\n\
         Requires={SOCKET}\n\
         \n\
         [Service]\n\
         Type=notify\n\
         ExecStart={} daemon -H fd://\n\
         ExecReload=/bin/kill -HUP $MAINPID\n\
         # Containers outlive their engine: only it is ended, and their cgroups are its own to arrange.\n\
         KillMode=process\n\
         Delegate=yes\n\
         Restart=on-failure\n\
         LimitNOFILE=1048576\n\
         LimitNPROC=infinity\n\
         TasksMax=infinity\n\
         OOMScoreAdjust=-500\n\
         \n\
         [Install]\n\
         WantedBy=multi-user.target\n",
        program.display()
    );
    let place = |name: &str| folder(prefix).join(name);
    vec![Item::new(place(SOCKET), Content::Text(socket)), Item::new(place(SERVICE), Content::Text(service))]
}
