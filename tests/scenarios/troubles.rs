//! What administrators complain of elsewhere, in their words, and the paragraph of a page that answers each.

use bed::binaries::workspace;

/// Words of a trouble, the page that names it, and what its answer must name.
const TROUBLES: [(&str, &str, &[&str]); 10] = [
    ("sick node answers ping and otherwise hangs", "cshutdown.8", &["-give-up", "live line"]),
    ("40 minutes, with little feedback", "cshutdown.8", &["live line", "-status", "-watch"]),
    ("stuck, and there is no easy way past it", "cstartup.8", &["-give-up", "-more-time", "-reset-stuck"]),
    ("Hundreds of BMCs are unreachable", "cstartup.8", &["unreachable", "Fl k"]),
    ("default limit is too short", "cstartup.8", &["Fl W Cm AUTO", "-more-time"]),
    ("command that watches gave up", "cstartup.8", &["-watch", "exit status"]),
    ("stay in \\(dqpowering off\\(dq", "cshutdown.8", &["each phase", "next command"]),
    ("no way to ask which hosts it waits for", "cstartup.8", &["SIGUSR1", "-status", "-why-not"]),
    ("A stop job is running", "cshutdown.8", &["-why-not", "-more-time", "-give-up", "-cancel"]),
    ("which node is slow in which phase", "cstartup.8", &["-timeline", "slowest", "-json"]),
];

/// The heads of the paragraphs of a page that answer troubles, each with its answer.
fn answers(page: &str) -> Vec<(String, String)> {
    let text = std::fs::read_to_string(workspace().join("man").join(page)).unwrap();
    let section = text.split(".Sh WHEN A RUN TAKES LONG\n").nth(1).expect("the section");
    let list = section.split("\n.El\n").next().unwrap_or_default();
    let items = list.split("\n.It ").skip(1).filter_map(|item| item.split_once('\n'));
    items.map(|(head, answer)| (head.to_owned(), answer.to_owned())).collect()
}

#[test]
fn every_trouble_is_named_by_a_paragraph_that_answers_it() {
    for (words, page, parts) in TROUBLES {
        let found: Vec<String> = answers(page)
            .into_iter()
            .filter(|(head, _)| head.contains(words))
            .map(|(_, answer)| answer)
            .collect();
        let [answer] = found.as_slice() else { panic!("{words}: {} paragraphs in {page}", found.len()) };
        for part in parts {
            assert!(answer.contains(part), "{words}: {part} is not in\n{answer}");
        }
    }
    // And no paragraph without its line above.
    for page in ["cstartup.8", "cshutdown.8"] {
        for (head, _) in answers(page) {
            let is_listed = |(words, of, _): &(&str, &str, &[&str])| *of == page && head.contains(words);
            assert!(TROUBLES.iter().any(is_listed), "{page}: {head}");
        }
    }
}
