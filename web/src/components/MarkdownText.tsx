/** A message's Markdown as safe text: no HTML, no images, no scripts. */

import Markdown, { type Components } from 'react-markdown';

/** Raw HTML stays text; an image would fetch from foreign servers, so its words remain; a link of a dangerous sort is just its words. */
const components: Components = {
  a: ({ href, children }) =>
    href ? (
      <a href={href} target="_blank" rel="noopener noreferrer nofollow">
        {children}
      </a>
    ) : (
      <span>{children}</span>
    ),
  img: ({ alt }) => <span>{alt}</span>,
};

export default function MarkdownText({ text }: { text: string }) {
  return <Markdown components={components}>{text}</Markdown>;
}
