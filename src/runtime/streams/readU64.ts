/** The nearest number to eight bytes, big-endian: exact up to 2^53 - 1. */
export const readU64 = (bytes: Uint8Array, at: number): number => {
  const view = new DataView(bytes.buffer, bytes.byteOffset + at, 8)
  return view.getUint32(0) * 0x1_0000_0000 + view.getUint32(4)
}
