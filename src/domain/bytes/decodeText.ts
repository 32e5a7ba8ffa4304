const utf8 = new TextDecoder("utf-8", { ignoreBOM: true })

/** The text whose UTF-8 form is `bytes`. Invalid sequences become U+FFFD; a byte order mark is a character like any other. */
export const decodeText = (bytes: Uint8Array): string => utf8.decode(bytes)
