//! Becoming a run of the same program by another way to it, without running it anew.

use std::ffi::c_void;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::MetadataExt as _;

/// What `libc` doesn't have: the kernel's `struct prctl_mm_map` and the request that takes it.
const PR_SET_MM_MAP: libc::c_int = 14;

#[repr(C)]
struct MemoryMap {
    start_code: u64,
    end_code: u64,
    start_data: u64,
    end_data: u64,
    start_brk: u64,
    brk: u64,
    start_stack: u64,
    arg_start: u64,
    arg_end: u64,
    env_start: u64,
    env_end: u64,
    auxv: *mut u64,
    auxv_size: u32,
    exe_fd: u32,
}

/// From here on `/proc/<pid>/exe` is `file`, which must be the file that this program was started from, opened through
/// another mount; what of the program is mapped comes from there too.
///
/// That is what an `execve` of `file` would give, without a new start. `Unsupported` where it can't be done: then nothing
/// has changed that matters, and the start anew is the way.
pub fn adopt(file: &File) -> io::Result<()> {
    let unsupported = || io::Error::from(io::ErrorKind::Unsupported);
    crate::clone::refuse_threads()?;
    let (now, then) = (file.metadata()?, std::fs::metadata("/proc/self/exe")?);
    if (now.dev(), now.ino()) != (then.dev(), then.ino()) {
        return Err(unsupported());
    }
    let headers = program_headers().ok_or_else(unsupported)?;
    let constant = headers.iter().find(|header| header.p_type == libc::PT_GNU_RELRO).map(|header| {
        let start = header.p_vaddr as usize;
        floor(start)..floor(start + header.p_memsz as usize)
    });
    for header in headers.iter().filter(|header| header.p_type == libc::PT_LOAD && header.p_filesz > 0) {
        let start = floor(header.p_vaddr as usize);
        let end = ceiling((header.p_vaddr + header.p_filesz) as usize);
        if header.p_flags & libc::PF_W == 0 {
            map_again(file, start..end, header)?;
        } else {
            let constant = constant.clone().filter(|part| part.start == start && part.end <= end);
            let middle = constant.map_or(start, |part| part.end);
            hold(start..middle, libc::PROT_READ)?;
            hold(middle..end, libc::PROT_READ | libc::PROT_WRITE)?;
        }
    }
    set_executable(file).map_err(|_| unsupported())
}

/// Nothing of the earlier one may be mapped any more. Asked for by itself this takes `CAP_SYS_RESOURCE`; together with all that the
/// kernel knows of a process' memory, which stays what it is, it takes what makes mounts.
fn set_executable(file: &File) -> io::Result<()> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    // After the name, which may have anything in it, comes the third field.
    let numbers: Vec<u64> = stat
        .rsplit(") ")
        .next()
        .unwrap_or_default()
        .split(' ')
        .map(|word| word.trim().parse().unwrap_or(0))
        .collect();
    let field = |number: usize| numbers.get(number - 3).copied().ok_or(io::ErrorKind::InvalidData);
    // SAFETY: asks where the heap ends.
    let heap_end = unsafe { libc::sbrk(0) };
    let map = MemoryMap {
        start_code: field(26)?,
        end_code: field(27)?,
        start_stack: field(28)?,
        start_data: field(45)?,
        end_data: field(46)?,
        start_brk: field(47)?,
        brk: heap_end as u64,
        arg_start: field(48)?,
        arg_end: field(49)?,
        env_start: field(50)?,
        env_end: field(51)?,
        auxv: std::ptr::null_mut(),
        auxv_size: 0,
        exe_fd: file.as_raw_fd().cast_unsigned(),
    };
    // SAFETY: the structure is the kernel's own and lives across the call, and its size is given; no memory is changed.
    let code = unsafe { libc::prctl(libc::PR_SET_MM, PR_SET_MM_MAP, &raw const map, size_of_val(&map), 0) };
    if code == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Those of this program, if they are where their addresses say: a program that can be anywhere isn't ours.
fn program_headers() -> Option<&'static [libc::Elf64_Phdr]> {
    // SAFETY: asks for a number that the kernel left for this process.
    let place = unsafe { libc::getauxval(libc::AT_PHDR) };
    // SAFETY: as above.
    let count = unsafe { libc::getauxval(libc::AT_PHNUM) };
    if place == 0 {
        return None;
    }
    // SAFETY: the kernel's word: so many headers of the running program are there, in memory that is never written.
    let headers = unsafe { std::slice::from_raw_parts(place as *const libc::Elf64_Phdr, count as usize) };
    let holds = |header: &&libc::Elf64_Phdr| {
        header.p_type == libc::PT_LOAD && (header.p_vaddr..header.p_vaddr + header.p_filesz).contains(&place)
    };
    headers.iter().find(holds).map(|_| headers)
}

/// The same bytes at the same place out of `file`.
fn map_again(file: &File, place: Range<usize>, header: &libc::Elf64_Phdr) -> io::Result<()> {
    let executable = if header.p_flags & libc::PF_X == 0 { 0 } else { libc::PROT_EXEC };
    let offset = libc::off_t::try_from(floor(header.p_offset as usize)).map_err(io::Error::other)?;
    // SAFETY: the place holds a part of this program that nobody writes to, and the file is the one that the kernel mapped
    // there from this offset: the very pages that were there are there again, also those of this code. The kernel replaces
    // the mapping in one step.
    let mapped = unsafe {
        libc::mmap(
            place.start as *mut c_void,
            place.len(),
            libc::PROT_READ | executable,
            libc::MAP_PRIVATE | libc::MAP_FIXED,
            file.as_raw_fd(),
            offset,
        )
    };
    if mapped == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// What is there now, in memory that is no file's. Only with one thread: what another wrote meanwhile would be lost.
fn hold(place: Range<usize>, protection: libc::c_int) -> io::Result<()> {
    if place.is_empty() {
        return Ok(());
    }
    let (start, length) = (place.start as *mut c_void, place.len());
    // SAFETY: new memory at a place that the kernel chooses.
    let copy = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            length,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_POPULATE,
            -1,
            0,
        )
    };
    if copy == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the program's data is mapped readable for this length, and the copy is as long and apart from it.
    unsafe { std::ptr::copy_nonoverlapping(start.cast::<u8>(), copy.cast::<u8>(), length) };
    // SAFETY: the copy is ours alone.
    unsafe { libc::mprotect(copy, length, protection) };
    // SAFETY: the move replaces the old in one step by what is equal to it: since it was copied nothing has written to it.
    // There is no other thread, signal handlers are the system's, and the calls between fail without a trace but in
    // `errno`, which is in the thread's memory and not in the program's data.
    let moved =
        unsafe { libc::mremap(copy, length, length, libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED, start) };
    if moved == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn floor(address: usize) -> usize {
    address & !(rustix::param::page_size() - 1)
}

fn ceiling(address: usize) -> usize {
    floor(address + rustix::param::page_size() - 1)
}
