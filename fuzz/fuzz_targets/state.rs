#![no_main]

libfuzzer_sys::fuzz_target!(|text: &[u8]| {
    octad_fuzz::parsers::state(text);
});
