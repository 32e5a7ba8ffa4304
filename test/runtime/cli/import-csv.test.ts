/** CSV and TSV: RFC 4180 wherever the chunks are cut, columns with types, and faults by line. */
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import type { ImportEvent } from "../../../src/runtime/cli/importing/batches.ts"
import { csvEvents } from "../../../src/runtime/cli/importing/csvRows.ts"
import { CsvReader } from "../../../src/runtime/cli/importing/csvRecords.ts"
import { type Mapping, parseMapping } from "../../../src/runtime/cli/importing/mapping.ts"

const records = (bytes: Uint8Array, size: number, separator: "," | "\t" = ",", recordBytesMax = 10_000) => {
  const reader = new CsvReader({ separator, recordBytesMax, from: { end: 0, line: 0 } })
  const found = []
  for (let at = 0; at < bytes.length; at += size) found.push(...reader.push(Uint8Array.from(bytes.subarray(at, at + size))))
  found.push(...reader.finish())
  return found.map(({ end, fault, fields, line, lines }) => ({
    fields: fields.map((field) => Buffer.from(field).toString()),
    line,
    lines,
    end,
    fault
  }))
}

const quoted = (field: string): string => `"${field.replaceAll('"', '""')}"`

describe("records", () => {
  it("come back as they were written, wherever the chunks are cut", () => {
    const field = fc.array(fc.constantFrom("a", "é", ",", "\t", '"', "\n", "\r\n", "\r", " "), { maxLength: 5 }).map((parts) => parts.join(""))
    fc.assert(
      fc.property(
        fc.array(fc.array(field, { minLength: 2, maxLength: 3 }), { minLength: 1, maxLength: 5 }),
        fc.constantFrom<"," | "\t">(",", "\t"),
        fc.constantFrom("\n", "\r\n"),
        fc.boolean(),
        fc.integer({ min: 1, max: 12 }),
        (rows, separator, lineBreak, ends, size) => {
          const row = (fields: ReadonlyArray<string>) => fields.map((text) => (/[",\t\r\n]/.test(text) ? quoted(text) : text)).join(separator)
          const text = rows.map(row).join(lineBreak) + (ends ? lineBreak : "")
          const found = records(Buffer.from(text), size, separator)
          expect(found.map(({ fields }) => fields)).toEqual(rows)
          expect(found.every(({ fault }) => fault === undefined)).toBe(true)
          expect(found.at(-1)!.end).toBe(Buffer.byteLength(text))
          // The line on which each begins.
          let line = 1
          for (const [i, fields] of rows.entries()) {
            expect(found[i]!.line).toBe(line)
            line += row(fields).split("\n").length
          }
        }
      ),
      { numRuns: 500 }
    )
  })

  it("leave empty lines out, and quoted emptiness in", () => {
    for (const size of [1, 3, 100]) {
      expect(records(Buffer.from('a\n\n\r\n""\n,\nlast\r'), size).map(({ fields, line }) => [fields, line])).toEqual([
        [["a"], 1],
        [[""], 4],
        [["", ""], 5],
        [["last"], 6]
      ])
    }
  })

  it.each([
    ['a,b\nc,"d\n', [2, "the quote that opens here is never closed"]],
    ['a,b\n"x\ny","d\ne,f\n', [3, "the quote that opens here is never closed"]],
    ['a,b\n"c"d,e\nf,g\n', [2, "there is text after the closing quote of field 1"]],
    ['a,b\nc,"d"\re\nf,g\n', [2, "there is text after the closing quote of field 2"]],
    ['a,b\nc"d,e\nf,g\n', [2, "field 1 holds a quote and does not begin with one"]]
  ] as const)("of %j name the fault and its line", (text, [line, fault]) => {
    for (const size of [1, 2, 5, 100]) {
      const found = records(Buffer.from(text), size)
      expect(found[1]).toMatchObject({ line, fault, fields: [] })
      if (!fault.includes("never")) expect(found[2]).toMatchObject({ fields: ["f", "g"], line: 3 })
    }
  })

  it("that are too long are named, and the next one is read", () => {
    const long = `x,"${"y\n".repeat(40)}"`
    for (const size of [1, 9, 30]) {
      const found = records(Buffer.from(`a,b\n${long}\nc,d\n`), size, ",", 40)
      expect(found.map(({ fault, fields, line }) => [fault, fields, line])).toEqual([
        [undefined, ["a", "b"], 1],
        ["the record is longer than 40 B; is a quote not closed?", [], 2],
        [undefined, ["c", "d"], 43]
      ])
    }
  })
})

const read = async (text: string | Uint8Array, maps: ReadonlyArray<string> = [], size = 1_000, from?: { end: number; line: number }) => {
  const bytes = Buffer.from(text)
  const events: Array<ImportEvent> = []
  const open = async function* (end: number): AsyncGenerator<Uint8Array, void, undefined> {
    for (let at = end; at < bytes.length; at += size) {
      await Promise.resolve()
      yield Buffer.from(bytes.subarray(at, at + size))
    }
  }
  const mapping = parseMapping(maps) as Mapping
  const options = { file: "f", separator: ",", mapping, limits: { valueBytesMax: 100 }, from: from ?? { end: 0, line: 0 } } as const
  for await (const group of csvEvents(open, options)) events.push(...group)
  return events
}

const stored = (events: ReadonlyArray<ImportEvent>) =>
  events.map((event) => {
    if (event.type !== "item") return event.type === "problem" ? `${event.line}: ${event.reason}` : event.type
    const [put] = event.operations
    if (put?.type !== "put") return "no put"
    const extras = [put.keyspace, put.expiresAt].filter((extra) => extra !== undefined)
    return [put.key, put.value, ...extras].map((part) => (typeof part === "object" ? Buffer.from(part).toString() : part))
  })

describe("rows", () => {
  it("have columns key and value, with types, keyspace and expiry", async () => {
    expect(stored(await read("\ufeffkey,value\r\na,1\r\nb,\r\n", [], 1))).toEqual([
      ["a", "1"],
      ["b", ""]
    ])
    const typed = await read("value:hex,key:base64,keyspace,expiresAt:number\n00ff,/w==,users,1900000000000\n,YQ==,,\n")
    expect(typed[0]).toMatchObject({
      operations: [{ key: new Uint8Array([255]), value: new Uint8Array([0, 255]), keyspace: "users", expiresAt: 1_900_000_000_000 }]
    })
    expect(stored(typed)[1]).toEqual(["a", ""])
  })

  it("are mapped: fields, templates, and the whole record as JSON", async () => {
    const people = 'id:number,country,name,tags:json,active:boolean,note\n7,de,"Ada ""A""","[1,2]",true,\n8,fr,Bob,,false,x\n'
    expect(stored(await read(people, ["key=person/{country}/{id}", "value=."]))).toEqual([
      ["person/de/7", '{"id":7,"country":"de","name":"Ada \\"A\\"","tags":[1,2],"active":true,"note":""}'],
      ["person/fr/8", '{"id":8,"country":"fr","name":"Bob","tags":null,"active":false,"note":"x"}']
    ])
    expect(stored(await read(people, ["key=id", "value=name", "keyspace=country"]))).toEqual([
      ["7", 'Ada "A"', "de"],
      ["8", "Bob", "fr"]
    ])
  })

  it("go on in the middle, with the header of the beginning", async () => {
    const text = 'value,key\n1,a\n2,"b\nb"\n3,c\n'
    const all = await read(text)
    for (const [i, event] of all.entries()) {
      if (event.type !== "item" || i === all.length - 1) continue
      expect(await read(text, [], 5, { end: event.end!, line: event.lines! })).toEqual(all.slice(i + 1))
    }
  })

  it("that do not fit are named by line and column", async () => {
    const rows = ["a,1,", "b,1", "c,1,2,3", "d,x,", "e,1,*", "f,007,", ",1,", `g,${"1".repeat(200)},`, "ok,1,YQ=="]
    expect(stored(await read(`key,value:number,x:base64\n${rows.join("\n")}\n`))).toEqual([
      ["a", "1"],
      "3: the row has 2 fields, and the header 3",
      "4: the row has 4 fields, and the header 3",
      '5: "value" is not a number: "x"',
      '6: "x" is not base64: "*"',
      '7: "value" is not a number: "007"',
      "8: the key is empty",
      "9: the value has 200 B; at most 100 B are allowed",
      ["ok", "1"]
    ])
    expect(stored(await read("key,value:boolean,n:json\na,yes,1\nb,true,{\nc,,\nd,true,1\n"))).toEqual([
      '2: "value" is not true or false: "yes"',
      '3: "n" is not JSON: "{"',
      '4: "value" is empty, not true or false',
      ["d", "true"]
    ])
    expect(stored(await read(Buffer.from("key,value\nk,\xe9\n", "latin1")))).toEqual(['2: "value" is not UTF-8'])
    expect(stored(await read("key,value,keyspace,expiresAt\na,1,default,\nb,1,,soon\n"))).toEqual([
      expect.stringMatching(/^2: "default" cannot name a keyspace/),
      expect.stringMatching(/^3: "expiresAt" is not a time/)
    ])
  })

  it.each([
    ["a,1\n", [], 'the header has no column "key" but "a", "1"; say with --map which columns are key and value'],
    ["key,v\n", [], 'the header has no column "value" but "key", "v"; say with --map which columns are key and value'],
    ["key,value,key\n", [], 'the header has two columns "key"'],
    ["key,value,key:base64\n", [], 'the header has two columns "key"'],
    ["key,,value\n", [], "column 2 has no name"],
    ["id,b\n1,2\n", ["key=nr"], 'there is no column "nr"; there are "id", "b"'],
    ["id,b\n1,2\n", ["key=a/{nr}"], 'there is no column "nr"; there are "id", "b"'],
    ['key,"value\n1,2\n', [], "the quote that opens here is never closed"]
  ] as const)("have a header that says what they are: %j %j", async (text, maps, reason) => {
    await expect(read(text, maps)).rejects.toMatchObject({ file: "f", line: 1, reason })
  })

  it("of an empty file are none", async () => {
    for (const text of ["", "\ufeff", "key,value", "\n\nkey,value\n"]) expect(await read(text)).toEqual([])
  })
})
