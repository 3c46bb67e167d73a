//! A program that makes the system calls it was built for and writes what each of them returned: machine code, because
//! a C library doesn't make calls that it knows to be missing, nor 32-bit ones.

use std::fmt::Write as _;

/// How the kernel is called.
#[derive(Clone, Copy)]
pub(crate) enum Gate {
    Wide,
    /// As a 32-bit program does, with its numbers.
    I386,
}

pub(crate) struct Call {
    pub(crate) gate: Gate,
    pub(crate) number: u32,
    pub(crate) args: [u64; 6],
}

/// Where the program lies, and after it the results.
const BASE: u64 = 0x40_0000;
const RESULTS: u64 = 0x50_0000;
const HEADERS: u64 = 64 + 2 * 56;

/// A shell script that makes the calls and prints a line for each: what it returned, negative for an error.
pub(crate) fn script(calls: &[Call]) -> String {
    let mut octal = String::new();
    for byte in program(calls) {
        let _ = write!(octal, "\\{byte:03o}");
    }
    format!("printf '{octal}' >/tmp/probe && chmod 755 /tmp/probe && /tmp/probe | od -An -v -t d4 -w4")
}

fn program(calls: &[Call]) -> Vec<u8> {
    let code = code(calls);
    let size = HEADERS + code.len() as u64;
    let mut elf = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    // An executable for x86_64, version 1.
    elf.extend([2, 0, 62, 0, 1, 0, 0, 0]);
    [BASE + HEADERS, 64, 0].iter().for_each(|field| elf.extend(field.to_le_bytes()));
    elf.extend([0, 0, 0, 0]);
    // The sizes of this header and of the next ones, of which there are two; no sections.
    [64u16, 56, 2, 0, 0, 0].iter().for_each(|field| elf.extend(field.to_le_bytes()));
    segment(&mut elf, 5, BASE, size, size);
    segment(&mut elf, 6, RESULTS, 0, 4 * calls.len() as u64);
    elf.extend(code);
    elf
}

fn segment(elf: &mut Vec<u8>, flags: u32, address: u64, in_file: u64, in_memory: u64) {
    elf.extend(1u32.to_le_bytes());
    elf.extend(flags.to_le_bytes());
    [0, address, address, in_file, in_memory, 4096].iter().for_each(|field| elf.extend(field.to_le_bytes()));
}

/// `mov` of a 64-bit constant into rdi, rsi, rdx, r10, r8, r9; and of a 32-bit one into ebx, ecx, edx, esi, edi, ebp.
const WIDE_REGISTERS: [[u8; 2]; 6] =
    [[0x48, 0xbf], [0x48, 0xbe], [0x48, 0xba], [0x49, 0xba], [0x49, 0xb8], [0x49, 0xb9]];
const NARROW_REGISTERS: [u8; 6] = [0xbb, 0xb9, 0xba, 0xbe, 0xbf, 0xbd];

fn code(calls: &[Call]) -> Vec<u8> {
    let mut code = Vec::new();
    // mov r15, RESULTS
    code.extend([0x49, 0xbf]);
    code.extend(RESULTS.to_le_bytes());
    for call in calls {
        make(&mut code, call);
        // mov [r15], eax; add r15, 4
        code.extend([0x41, 0x89, 0x07, 0x49, 0x83, 0xc7, 0x04]);
    }
    let written = 4 * calls.len() as u64;
    make(&mut code, &Call { gate: Gate::Wide, number: 1, args: [1, RESULTS, written, 0, 0, 0] });
    make(&mut code, &Call { gate: Gate::Wide, number: 60, args: [0; 6] });
    code
}

fn make(code: &mut Vec<u8>, call: &Call) {
    match call.gate {
        Gate::Wide => {
            for (register, arg) in WIDE_REGISTERS.iter().zip(call.args) {
                code.extend(register);
                code.extend(arg.to_le_bytes());
            }
        }
        Gate::I386 => {
            for (register, arg) in NARROW_REGISTERS.iter().zip(call.args) {
                code.push(*register);
                code.extend((arg as u32).to_le_bytes());
            }
        }
    }
    // mov eax, number
    code.push(0xb8);
    code.extend(call.number.to_le_bytes());
    match call.gate {
        Gate::Wide => code.extend([0x0f, 0x05]),
        Gate::I386 => code.extend([0xcd, 0x80]),
    }
}
