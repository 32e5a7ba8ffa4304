/** `--map`: which fields of a record become key, value, keyspace and expiry. Formats look the fields up, each in its own way. */

export const mapTargets = ["key", "value", "keyspace", "expiresAt"] as const
export type MapTarget = (typeof mapTargets)[number]

export type FieldExpression =
  /** The whole record, as JSON text. */
  | { readonly type: "whole" }
  | { readonly type: "field"; readonly name: string }
  /** Text with fields in it: `user/{country}/{id}`. */
  | { readonly type: "template"; readonly parts: ReadonlyArray<{ readonly text: string } | { readonly name: string }> }

export type Mapping = { readonly [Target in MapTarget]?: FieldExpression }

const isTarget = (name: string): name is MapTarget => mapTargets.some((target) => target === name)

/** The parts of a template, or what is wrong with it. `{{` and `}}` stand for braces. */
const templateOf = (text: string): FieldExpression | string => {
  const parts: Array<{ readonly text: string } | { readonly name: string }> = []
  let plain = ""
  for (let at = 0; at < text.length;) {
    const character = text[at]!
    if (character === "{" && text[at + 1] !== "{") {
      const end = text.indexOf("}", at)
      if (end < 0) return "a { is not closed"
      const name = text.slice(at + 1, end)
      if (name === "") return "{} names no field"
      if (plain !== "") parts.push({ text: plain })
      plain = ""
      parts.push({ name })
      at = end + 1
    } else if (character === "}" && text[at + 1] !== "}") return "a } closes nothing"
    else {
      plain += character
      at += character === "{" || character === "}" ? 2 : 1
    }
  }
  if (plain !== "") parts.push({ text: plain })
  return { type: "template", parts }
}

const expressionOf = (target: MapTarget, text: string): FieldExpression | string => {
  if (text === "") return "no field is named"
  if (text === ".") return target === "value" ? { type: "whole" } : "only a value can be the whole record"
  if (!/[{}]/.test(text)) return { type: "field", name: text }
  return target === "expiresAt" ? "an expiry is a field, not a template" : templateOf(text)
}

/**
 * What several `--map target=field` say together; a string is what is wrong with them. Where the key is mapped and the value is not, the value is the whole record.
 */
export const parseMapping = (maps: ReadonlyArray<string>): Mapping | string => {
  const mapping: { -readonly [Target in MapTarget]?: FieldExpression } = {}
  for (const map of maps) {
    const equals = map.indexOf("=")
    const target = map.slice(0, Math.max(0, equals))
    if (!isTarget(target)) return `--map ${map} does not begin with ${mapTargets.map((name) => `${name}=`).join(", ")}`
    if (mapping[target] !== undefined) return `--map ${target}= is given twice`
    const expression = expressionOf(target, map.slice(equals + 1))
    if (typeof expression === "string") return `--map ${map}: ${expression}`
    mapping[target] = expression
  }
  if (mapping.key !== undefined) mapping.value ??= { type: "whole" }
  return mapping
}

/** Names of the fields that an expression needs. */
export const fieldsOf = (expression: FieldExpression): ReadonlyArray<string> =>
  expression.type === "field"
    ? [expression.name]
    : expression.type === "template"
      ? expression.parts.flatMap((part) => ("name" in part ? [part.name] : []))
      : []
