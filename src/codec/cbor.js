/** Deterministic CBOR (RFC 8949 §4.2.1), one item or a sequence (RFC 8742); what is left out stands in cbor-reader.ts. */
import { CborReader } from './cbor-reader.js';
import { CborError } from './cbor-value.js';
import { CborWriter } from './cbor-writer.js';
export { CborError } from './cbor-value.js';
/** One value as CBOR. @throws CborError deeper than 4, an integer beyond ±(2^53 − 1), an unpaired surrogate */
export function encodeCbor(value) {
    const writer = new CborWriter();
    writer.value(value);
    return writer.finish();
}
/** Exactly one item and nothing after it. Byte strings are copies. @throws CborError */
export function decodeCbor(bytes) {
    const reader = new CborReader(bytes);
    const value = reader.value();
    if (!reader.done)
        throw new CborError(`expected one item, got ${bytes.length - reader.position} bytes after it`);
    return value;
}
/** Items one after the other until the end; none is fine. @throws CborError */
export function decodeCborSequence(bytes) {
    const reader = new CborReader(bytes);
    const items = [];
    while (!reader.done)
        items.push(reader.value());
    return items;
}
