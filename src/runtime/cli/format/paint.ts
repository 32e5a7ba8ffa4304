import { styleText } from "node:util"

export type Paint = (style: "bold" | "dim" | "red" | "green" | "yellow" | "cyan", text: string) => string

/** Colours text, or leaves it alone: whether to is decided once, where the stream is known. */
export const paint =
  (colours: boolean): Paint =>
  (style, text) =>
    colours ? styleText(style, text, { validateStream: false }) : text
