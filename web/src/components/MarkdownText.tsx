/** A message's Markdown as safe text: no HTML, no images, no scripts. */

import Markdown from 'react-markdown';

/** Raw HTML stays text; an image would fetch from foreign servers, so its words remain. */
export default function MarkdownText({ text }: { text: string }) {
  return (
    <Markdown
      disallowedElements={['img']}
      unwrapDisallowed
      components={{
        a: ({ href, children }) => (
          <a href={href} target="_blank" rel="noopener noreferrer nofollow">
            {children}
          </a>
        ),
      }}
    >
      {text}
    </Markdown>
  );
}
