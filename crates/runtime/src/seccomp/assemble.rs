//! Instructions with labels, and the classic BPF that they become.
//!
//! Either way of a conditional jump of classic BPF reaches 255 instructions, forwards only. One that has further to go
//! goes by an unconditional jump behind the conditional one, which reaches everywhere. Lengthening one can put another out
//! of reach, so this is repeated until nothing changes; branches only ever grow, so it ends.

/// The kernel's limit on a program, `BPF_MAXINSNS`.
pub(super) const MAX_INSTRUCTIONS: usize = 4096;

/// A place in the program that jumps can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Label(usize);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Test {
    Equal,
    Greater,
    GreaterOrEqual,
    AnyBit,
}

#[derive(Debug, Clone, Copy)]
enum Line {
    Place(Label),
    Load(u32),
    And(u32),
    Return(u32),
    /// Goes one of two ways by a test on the accumulator.
    Branch {
        test: Test,
        value: u32,
        yes: Way,
        no: Way,
    },
}

/// Where a branch goes.
#[derive(Debug, Clone, Copy)]
enum Way {
    On,
    Near(Label),
    Far(Label),
}

/// A program that is being written, from its start to its end.
#[derive(Debug, Default)]
pub(super) struct Assembler {
    lines: Vec<Line>,
    labels: usize,
}

impl Assembler {
    pub(super) fn label(&mut self) -> Label {
        self.labels += 1;
        Label(self.labels - 1)
    }

    /// The label means what is written next.
    pub(super) fn place(&mut self, label: Label) {
        self.lines.push(Line::Place(label));
    }

    /// Loads four bytes of the call's description.
    pub(super) fn load(&mut self, offset: u32) {
        self.lines.push(Line::Load(offset));
    }

    pub(super) fn and(&mut self, mask: u32) {
        self.lines.push(Line::And(mask));
    }

    pub(super) fn give(&mut self, action: u32) {
        self.lines.push(Line::Return(action));
    }

    pub(super) fn jump_if(&mut self, test: Test, value: u32, target: Label) {
        self.branch(test, value, Some(target), None);
    }

    pub(super) fn jump_unless(&mut self, test: Test, value: u32, target: Label) {
        self.branch(test, value, None, Some(target));
    }

    /// A way without a label goes on with what is written next.
    pub(super) fn branch(&mut self, test: Test, value: u32, yes: Option<Label>, no: Option<Label>) {
        let way = |label: Option<Label>| label.map_or(Way::On, Way::Near);
        self.lines.push(Line::Branch { test, value, yes: way(yes), no: way(no) });
    }

    /// The kernel's `struct sock_filter`s, or how many there would be if they are too many.
    pub(super) fn assemble(mut self) -> Result<Vec<Instruction>, usize> {
        while self.lengthen() {}
        let places = self.places();
        let mut program = Vec::with_capacity(self.lines.len());
        for line in &self.lines {
            line.encode(&places, &mut program);
        }
        match program.len() {
            length if length > MAX_INSTRUCTIONS => Err(length),
            _ => Ok(program),
        }
    }

    /// Where each label is, in instructions.
    fn places(&self) -> Vec<usize> {
        let mut places = vec![0; self.labels];
        let mut at = 0;
        for line in &self.lines {
            if let Line::Place(label) = line {
                places[label.0] = at;
            }
            at += line.length();
        }
        places
    }

    /// Makes the jumps long that are too short; whether there were any.
    fn lengthen(&mut self) -> bool {
        let places = self.places();
        let (mut at, mut changed) = (0, false);
        for line in &mut self.lines {
            let length = line.length();
            if let Line::Branch { yes, no, .. } = line {
                for way in [yes, no] {
                    if let Way::Near(target) = *way
                        && places[target.0] - at - 1 > usize::from(u8::MAX)
                    {
                        (*way, changed) = (Way::Far(target), true);
                    }
                }
            }
            at += length;
        }
        changed
    }
}

impl Line {
    fn length(&self) -> usize {
        match self {
            Self::Place(_) => 0,
            Self::Branch { yes, no, .. } => 1 + yes.jumps() + no.jumps(),
            _ => 1,
        }
    }

    fn encode(&self, places: &[usize], program: &mut Vec<Instruction>) {
        let plain = |code, k| Instruction { code, jt: 0, jf: 0, k };
        match *self {
            Self::Place(_) => {}
            Self::Load(offset) => program.push(plain(LOAD, offset)),
            Self::And(mask) => program.push(plain(AND, mask)),
            Self::Return(action) => program.push(plain(RETURN, action)),
            Self::Branch { test, value, yes, no } => {
                let behind = yes.jumps() + no.jumps();
                // `lengthen` saw to it that distances fit.
                let skip = |way: Way, before: usize| match way {
                    Way::On => behind as u8,
                    Way::Near(label) => (places[label.0] - program.len() - 1) as u8,
                    Way::Far(_) => before as u8,
                };
                let (jt, jf) = (skip(yes, 0), skip(no, yes.jumps()));
                program.push(Instruction { code: test.code(), jt, jf, k: value });
                for way in [yes, no] {
                    if let Way::Far(label) = way {
                        program.push(plain(JUMP, (places[label.0] - program.len() - 1) as u32));
                    }
                }
            }
        }
    }
}

impl Way {
    /// Unconditional jumps that it needs behind the branch.
    fn jumps(self) -> usize {
        usize::from(matches!(self, Self::Far(_)))
    }
}

/// The kernel's `struct sock_filter`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Instruction {
    pub(super) code: u16,
    pub(super) jt: u8,
    pub(super) jf: u8,
    pub(super) k: u32,
}

impl Instruction {
    /// As it lies in memory.
    pub(super) fn bytes(self) -> [u8; 8] {
        let [code_low, code_high] = self.code.to_ne_bytes();
        let [a, b, c, d] = self.k.to_ne_bytes();
        [code_low, code_high, self.jt, self.jf, a, b, c, d]
    }
}

pub(super) const LOAD: u16 = 0x20;
pub(super) const AND: u16 = 0x54;
pub(super) const RETURN: u16 = 0x06;
pub(super) const JUMP: u16 = 0x05;

impl Test {
    fn code(self) -> u16 {
        match self {
            Self::Equal => 0x15,
            Self::Greater => 0x25,
            Self::GreaterOrEqual => 0x35,
            Self::AnyBit => 0x45,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jump_too_far_for_one_byte_takes_two_instructions() {
        for (between, length) in [(255, 1), (256, 2)] {
            let mut assembler = Assembler::default();
            let end = assembler.label();
            assembler.jump_if(Test::Equal, 7, end);
            (0..between).for_each(|_| assembler.load(0));
            assembler.place(end);
            assembler.give(1);
            let program = assembler.assemble().unwrap();
            assert_eq!(program.len(), length + between + 1);
            let reached = match length {
                1 => 1 + usize::from(program[0].jt),
                _ => 2 + program[1].k as usize,
            };
            assert_eq!(reached, program.len() - 1);
        }
    }

    #[test]
    fn a_program_that_the_kernel_would_not_take_says_how_long_it_is() {
        let mut assembler = Assembler::default();
        (0..MAX_INSTRUCTIONS).for_each(|_| assembler.load(0));
        assembler.give(0);
        assert_eq!(assembler.assemble(), Err(MAX_INSTRUCTIONS + 1));
    }
}
