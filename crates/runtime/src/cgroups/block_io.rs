//! Weights and throttles of block devices: blkio on v1, io on v2.

use oci_spec::runtime::{LinuxBlockIo, LinuxThrottleDevice};

use super::Cgroup;
use super::limits::{on_v1, open, set};
use crate::Error;

pub(super) fn apply(cgroup: &Cgroup, block: &LinuxBlockIo) -> Result<(), Error> {
    if block.leaf_weight().is_some_and(|w| w != 0) {
        return Err(Error::Unsupported("linux.resources.blockIO.leafWeight".into()));
    }
    let v1 = on_v1(cgroup, "blkio");
    weights(cgroup, block, v1)?;
    let throttles = [
        (block.throttle_read_bps_device(), "blkio.throttle.read_bps_device", "rbps"),
        (block.throttle_write_bps_device(), "blkio.throttle.write_bps_device", "wbps"),
        (block.throttle_read_iops_device(), "blkio.throttle.read_iops_device", "riops"),
        (block.throttle_write_iops_device(), "blkio.throttle.write_iops_device", "wiops"),
    ];
    for (devices, v1_file, v2_key) in throttles {
        for device in devices.iter().flatten() {
            throttle(cgroup, device, if v1 { Err(v1_file) } else { Ok(v2_key) })?;
        }
    }
    Ok(())
}

fn throttle(cgroup: &Cgroup, device: &LinuxThrottleDevice, place: Result<&str, &str>) -> Result<(), Error> {
    let (number, rate) = (format!("{}:{}", device.major(), device.minor()), device.rate());
    match place {
        Err(file) => set(cgroup, "blkio", file, &format!("{number} {rate}")),
        Ok(key) => {
            let rate = if rate == 0 { "max".to_owned() } else { rate.to_string() };
            set(cgroup, "io", "io.max", &format!("{number} {key}={rate}"))
        }
    }
}

fn weights(cgroup: &Cgroup, block: &LinuxBlockIo, v1: bool) -> Result<(), Error> {
    let controller = if v1 { "blkio" } else { "io" };
    // The scheduler that honours weights brings the files; of what is there, BFQ's come first.
    let bfq = if v1 { "blkio.bfq.weight" } else { "io.bfq.weight" };
    let has_bfq = open(cgroup, controller, bfq).is_ok();
    if let Some(weight) = block.weight().filter(|w| *w != 0) {
        check("weight", weight)?;
        match (has_bfq, v1) {
            (true, true) => set(cgroup, controller, bfq, &weight.to_string())?,
            (true, false) => set(cgroup, controller, bfq, &format!("default {weight}"))?,
            (false, true) => set(cgroup, controller, "blkio.weight", &weight.to_string())?,
            (false, false) => set(cgroup, controller, "io.weight", &format!("default {}", spread(weight)))?,
        }
    }
    for device in block.weight_device().iter().flatten() {
        if device.leaf_weight().is_some_and(|w| w != 0) {
            return Err(Error::Unsupported("linux.resources.blockIO.weightDevice.leafWeight".into()));
        }
        let Some(weight) = device.weight().filter(|w| *w != 0) else { continue };
        check("weightDevice", weight)?;
        let number = format!("{}:{}", device.major(), device.minor());
        match (has_bfq, v1) {
            (true, true) => {
                set(cgroup, controller, "blkio.bfq.weight_device", &format!("{number} {weight}"))?;
            }
            (true, false) => set(cgroup, controller, bfq, &format!("{number} {weight}"))?,
            (false, true) => set(cgroup, controller, "blkio.weight_device", &format!("{number} {weight}"))?,
            (false, false) => set(cgroup, controller, "io.weight", &format!("{number} {}", spread(weight)))?,
        }
    }
    Ok(())
}

fn check(field: &str, weight: u16) -> Result<(), Error> {
    match (10..=1000).contains(&weight) {
        true => Ok(()),
        false => Err(Error::Invalid {
            field: "linux.resources.blockIO",
            why: format!("has the {field} {weight}, not one from 10 to 1000"),
        }),
    }
}

/// v1's weights from 10 to 1000 onto v2's from 1 to 10000, as the specification's other runtimes do.
fn spread(weight: u16) -> u64 {
    1 + (u64::from(weight) - 10) * 9999 / 990
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_fill_v2_s_range() {
        assert_eq!((spread(10), spread(100), spread(1000)), (1, 910, 10_000));
    }
}
