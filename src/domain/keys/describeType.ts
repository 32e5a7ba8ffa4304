/** What a value of the wrong type is, in words for an error: "a number", "null", "a Float32Array". Never its content, which may be secret or large. */
export const describeType = (value: unknown): string => {
  if (value === null) return "null"
  if (value === undefined) return "undefined"
  if (typeof value !== "object") return `a ${typeof value}`
  if (Array.isArray(value)) return "an array"
  const name = Object.getPrototypeOf(value)?.constructor?.name
  if (typeof name !== "string" || name === "" || name === "Object") return "an object"
  return /^[AEIO]/.test(name) ? `an ${name}` : `a ${name}`
}
