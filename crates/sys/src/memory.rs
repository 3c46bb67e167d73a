//! What the allocator keeps of memory that nobody uses any more.

/// Less than this is soon used again.
const WORTH_WHILE: usize = 16 << 20;

/// Gives free memory back to the kernel. The allocator does so by itself only with what lies at an arena's end, and one
/// small thing there that lives on holds all below it.
pub fn give_back_memory() {
    #[cfg(target_env = "gnu")]
    {
        // SAFETY: takes nothing and returns numbers; it takes the arenas' locks as an allocation does.
        let known = unsafe { libc::mallinfo2() };
        if known.fordblks >= WORTH_WHILE {
            // SAFETY: only what is free is given back, under the same locks; no pointer that anybody has becomes invalid.
            unsafe { libc::malloc_trim(0) };
        }
    }
}

#[cfg(all(test, target_env = "gnu"))]
mod tests {
    #[test]
    fn what_is_free_goes_back() {
        let resident = || {
            let text = std::fs::read_to_string("/proc/self/statm").unwrap();
            text.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
        };
        let mut kept = Vec::new();
        let many: Vec<Vec<u8>> = (0..400_000)
            .map(|number| {
                // One that stays, at the end of all.
                if number == 399_999 {
                    kept.push(vec![1_u8; 300]);
                }
                vec![1_u8; 300]
            })
            .collect();
        let full = resident();
        drop(many);
        super::give_back_memory();
        assert!(resident() + (50 << 20) < full, "{} of {full} are still resident", resident());
        assert_eq!(kept.len(), 1);
    }
}
