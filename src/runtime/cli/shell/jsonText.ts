import type { Session } from "./Session.ts"

/** Characters that JSON leaves as they are, and a terminal might not. */
const steering = /[\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g

/** One line of JSON, with its line break. On a terminal everything that could steer it is escaped, which is the same JSON. */
export const jsonText = ({ output }: Session, value: unknown): string => {
  const text: string | undefined = JSON.stringify(value, (_, item: unknown) => (typeof item === "bigint" ? String(item) : item))
  const line = text ?? "null"
  return `${output.stdoutIsTerminal ? line.replace(steering, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`) : line}\n`
}
