/** Lets style texts through where the page's policy asks for trusted types, and nothing that could be an element. */

interface PolicyFactory {
  createPolicy(name: string, rules: { createHTML: (text: string) => string }): unknown;
}

/** Mantine fills its style elements by innerHTML; a text without `<` makes no element. */
export function allowStyleTexts(): void {
  const factory = (globalThis as { trustedTypes?: PolicyFactory }).trustedTypes;
  factory?.createPolicy('default', {
    createHTML: (text) => {
      if (text.includes('<')) throw new TypeError('HTML from text is not allowed here.');
      return text;
    },
  });
}
