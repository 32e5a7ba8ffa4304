/** Entries as JSON lines: `{"key": …, "value": …}`, with `keyBase64` and `valueBase64` where bytes are not UTF-8. `lightning import` reads all of it back. */
import { isText, type TextBlock } from "./TextBlock.ts"
import type { ExportEntry, LineEncoder } from "./encoder.ts"

export const jsonLines = (hexKeys: boolean): LineEncoder => {
  let valueIsText = false
  return {
    header: "",
    begin: (block: TextBlock, { key, value }: ExportEntry) => {
      if (hexKeys) {
        block.ascii('{"keyHex":"')
        block.hex(key)
      } else if (isText(key)) {
        block.ascii('{"key":"')
        block.jsonText(key)
      } else {
        block.ascii('{"keyBase64":"')
        block.base64(key)
      }
      valueIsText = isText(value)
      block.ascii(valueIsText ? '","value":"' : '","valueBase64":"')
      return undefined
    },
    value: (block, { value }, from, to) => (valueIsText ? block.jsonText(value, from, to) : block.base64(value, from, to)),
    end: (block, { expiresAt, keyspace }) => {
      block.ascii('"')
      if (keyspace !== undefined) block.text(`,"keyspace":${JSON.stringify(keyspace)}`)
      if (expiresAt !== undefined) block.ascii(`,"expiresAt":${expiresAt}`)
      block.ascii("}\n")
    }
  }
}
