// What a message, a file or a server says cannot steer the terminal that shows it.

/** Control characters but tab and line feed, DEL and the second set included. */
// oxlint-disable-next-line no-control-regex -- they are what is looked for
const CONTROL = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g

/** Each as JSON would write it, so that a line of JSON still holds the same. */
export const harmless = (text: string): string =>
  text.replace(CONTROL, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`)
