/** The part of CBOR (RFC 8949) that sealbus writes and reads: its values, its limits, its error. */
/** Depth of nesting, the top item being 1; a number in an array in an array is at depth 3. */
export const MAX_DEPTH = 4;
/** Bytes that are not the CBOR expected, or a value that it does not have. */
export class CborError extends RangeError {
    name = 'CborError';
    /** @param message - what was expected and what came, without the content */
    constructor(message) {
        super(`CBOR: ${message}`);
    }
}
