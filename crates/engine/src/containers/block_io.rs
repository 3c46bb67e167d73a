//! Weights and rates of block devices.

use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};

use oci_spec::runtime as rt;
use serde::{Deserialize, Serialize};

use super::config::HostConfig;
use crate::Error;

/// `WeightDevice`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct WeightDevice {
    pub path: String,
    pub weight: u16,
}

/// `ThrottleDevice`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ThrottleDevice {
    pub path: String,
    pub rate: u64,
}

/// Refuses what no kernel takes.
pub(super) fn check(host: &HostConfig) -> Result<(), String> {
    let fits = |weight: u16| weight == 0 || (10..=1000).contains(&weight);
    if !fits(host.blkio_weight) {
        return Err("Range of blkio weight is from 10 to 1000".into());
    }
    for device in host.blkio_weight_device.iter().flatten() {
        if !fits(device.weight) || device.weight == 0 {
            return Err(format!("Range of blkio weight is from 10 to 1000: {}", device.path));
        }
    }
    Ok(())
}

/// As the runtime is told; nothing where nothing is asked for.
pub(super) fn requested(host: &HostConfig) -> Result<Option<rt::LinuxBlockIo>, Error> {
    let throttles =
        |list: &Option<Vec<ThrottleDevice>>| -> Result<Option<Vec<rt::LinuxThrottleDevice>>, Error> {
            let devices: Result<Vec<_>, Error> = list.iter().flatten().map(throttle).collect();
            devices.map(|devices| Some(devices).filter(|devices| !devices.is_empty()))
        };
    let weights: Vec<_> = host.blkio_weight_device.iter().flatten().map(weight).collect::<Result<_, _>>()?;
    let mut block = rt::LinuxBlockIo::default();
    block
        .set_weight(Some(host.blkio_weight).filter(|weight| *weight > 0))
        .set_weight_device(Some(weights).filter(|weights| !weights.is_empty()))
        .set_throttle_read_bps_device(throttles(&host.blkio_device_read_bps)?)
        .set_throttle_write_bps_device(throttles(&host.blkio_device_write_bps)?)
        .set_throttle_read_iops_device(throttles(&host.blkio_device_read_iops)?)
        .set_throttle_write_iops_device(throttles(&host.blkio_device_write_iops)?);
    Ok(Some(block).filter(|block| *block != rt::LinuxBlockIo::default()))
}

fn throttle(device: &ThrottleDevice) -> Result<rt::LinuxThrottleDevice, Error> {
    let (major, minor) = numbers(&device.path)?;
    let throttle = rt::LinuxThrottleDeviceBuilder::default().major(major).minor(minor).rate(device.rate);
    throttle.build().map_err(|error| Error::Invalid(error.to_string()))
}

fn weight(device: &WeightDevice) -> Result<rt::LinuxWeightDevice, Error> {
    let (major, minor) = numbers(&device.path)?;
    let weight = rt::LinuxWeightDeviceBuilder::default().major(major).minor(minor).weight(device.weight);
    weight.build().map_err(|error| Error::Invalid(error.to_string()))
}

fn numbers(path: &str) -> Result<(i64, i64), Error> {
    let wrong = |why: &str| Error::Invalid(format!("cannot limit the block device {path}: {why}"));
    let meta = std::fs::metadata(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => wrong("no such file or directory"),
        _ => wrong(&error.to_string()),
    })?;
    if !meta.file_type().is_block_device() {
        return Err(wrong("it is not a block device"));
    }
    Ok((rustix::fs::major(meta.rdev()).into(), rustix::fs::minor(meta.rdev()).into()))
}
