"""Names of folders that mean something in a URL, a template, a shell, a page or an old encoding."""

ODD = (
    "what?100%#1",
    "a%20b",
    "mein Projekt ü",
    "c#1",
    "100% done",
    "{}",
    "%41",
    'it\'s "q" <b>&amp;',
    "数据",
    "a;b=c&d",
    "$HOME `id` \\",
)
ALL_AT_ONCE = 'what?100%#1 {} %41 a%20b ü 数据 it\'s "q" <b>&$HOME'
