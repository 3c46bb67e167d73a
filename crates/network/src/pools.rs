//! Which addresses networks and containers get. Pure arithmetic: what is taken is said by the caller.
