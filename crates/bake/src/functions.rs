//! The functions that a file finds: those of HCL, of its standard library, and of bake.

mod collections;
mod encoding;
mod network;
mod numbers;
mod strings;
mod time;

use crate::Error;
use crate::value::Value;
pub(crate) use collections::set;
pub(crate) use encoding::rows;

/// What a function gets.
pub(crate) struct Arguments<'a>(&'a [Value]);

impl<'a> Arguments<'a> {
    fn count(&self, least: usize, most: usize) -> Result<(), Error> {
        match self.0.len() {
            count if count < least => {
                Err(Error::wrong(format!("it needs {least} arguments, and has {count}")))
            }
            count if count > most => Err(Error::wrong(format!("it takes {most} arguments, and has {count}"))),
            _ => Ok(()),
        }
    }

    fn all(&self) -> &'a [Value] {
        self.0
    }

    fn get(&self, at: usize) -> &'a Value {
        self.0.get(at).unwrap_or(&Value::Null)
    }

    fn text(&self, at: usize) -> Result<String, Error> {
        self.get(at).to_text()
    }

    fn number(&self, at: usize) -> Result<f64, Error> {
        self.get(at).to_number()
    }

    fn index(&self, at: usize) -> Result<i64, Error> {
        self.get(at).to_index()
    }

    fn list(&self, at: usize) -> Result<Vec<Value>, Error> {
        self.get(at).to_list()
    }
}

/// Calls one.
pub(crate) fn call(name: &str, arguments: &[Value]) -> Result<Value, Error> {
    let arguments = Arguments(arguments);
    for group in [numbers::call, strings::call, collections::call, encoding::call, network::call, time::call]
    {
        if let Some(value) = group(name, &arguments)? {
            return Ok(value);
        }
    }
    match name {
        "byteslen" | "bytesslice" | "rsadecrypt" => {
            Err(Error::wrong("it is not supported: nothing else in a bake file makes what it works on"))
        }
        _ => Err(Error::wrong(format!("there is no function named {name:?}"))),
    }
}
