use std::io;

/// Why the kernel's network isn't as it should be.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot {doing}")]
    Kernel { doing: String, source: netlink::Error },
    #[error("cannot {doing}")]
    System { doing: String, source: io::Error },
}

impl From<netlink::Error> for Error {
    fn from(source: netlink::Error) -> Self {
        Self::Kernel { doing: "talk to the kernel's network".to_owned(), source }
    }
}

impl Error {
    /// The kernel's word, if it was that which refused.
    pub fn errno(&self) -> Option<rustix::io::Errno> {
        match self {
            Self::Kernel { source, .. } => source.errno(),
            Self::System { source, .. } => rustix::io::Errno::from_io_error(source),
        }
    }
}

pub(crate) fn kernel(doing: impl Into<String>) -> impl FnOnce(netlink::Error) -> Error {
    let doing = doing.into();
    move |source| Error::Kernel { doing, source }
}

pub(crate) fn system<E: Into<io::Error>>(doing: impl Into<String>) -> impl FnOnce(E) -> Error {
    let doing = doing.into();
    move |source| Error::System { doing, source: source.into() }
}
