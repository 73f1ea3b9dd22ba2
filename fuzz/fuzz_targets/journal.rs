#![no_main]

libfuzzer_sys::fuzz_target!(|text: &[u8]| {
    octad_fuzz::parsers::journal(text);
});
