//! What a request says, parsed: all faults at once.

use uuid::Uuid;
use zhiyuan_contracts::orgtree::v1::{
    ArticleContent, CreateArticleRequest, PublishArticleRequest, UpdateArticleRequest,
    WithdrawArticleRequest,
};
use zhiyuan_domain::{OrganizationCode, RequestId, Violation, turns_direction};
use zhiyuan_rpc::Fields;

use super::{Content, Kind};
use crate::authority::grpc::{key, violation};
use crate::error::Result;
use crate::organizations::changing::revision_of;

/// Characters, at most.
const LONGEST_TITLE: usize = 60;
const LONGEST_SUMMARY: usize = 120;
const LONGEST_BODY: usize = 20_000;

/// The id of an article.
pub(super) fn article(text: &str) -> std::result::Result<Uuid, Violation> {
    let message = "文章标识格式不正确，应为带连字符的 36 位 UUID";
    key(text).ok_or_else(|| violation("ID_FORMAT", message))
}

/// Which kinds are asked for, in the order of their numbers; all, if none is.
pub(super) fn wanted_kinds(fields: &mut Fields, kinds: &[i32]) -> Vec<Kind> {
    if kinds.len() > Kind::ALL.len() {
        let message = "文章类别最多选择 3 个，请勿重复";
        fields.refuse("kinds", "ARTICLE_KINDS", message);
        return Vec::new();
    }
    let taken = kinds.iter().enumerate();
    let wanted: Vec<Kind> =
        taken.filter_map(|(n, kind)| fields.take(&format!("kinds[{n}]"), known(*kind))).collect();
    Kind::ALL.into_iter().filter(|kind| wanted.is_empty() || wanted.contains(kind)).collect()
}

fn known(kind: i32) -> std::result::Result<Kind, Violation> {
    let number = i16::try_from(kind).ok().and_then(Kind::of_number);
    number.ok_or_else(|| violation("ARTICLE_KIND", "请选择文章类别：使用指南、活动信息或新闻动态"))
}

/// One line of a text.
fn line(text: &str, longest: usize) -> std::result::Result<String, Violation> {
    let text = text.trim();
    if text.chars().count() > longest {
        return Err(violation("TEXT_LENGTH", &format!("不超过 {longest} 个字，请缩短")));
    }
    if text.chars().any(|c| c.is_control() || turns_direction(c)) {
        return Err(violation("TEXT_CHARACTERS", "不能换行，也不能包含控制字符"));
    }
    Ok(text.to_owned())
}

fn title(text: &str) -> std::result::Result<String, Violation> {
    match line(text, LONGEST_TITLE)? {
        empty if empty.is_empty() => Err(violation("TEXT_EMPTY", "请填写标题")),
        title => Ok(title),
    }
}

/// A text of several lines, which end in one way.
fn body(text: &str) -> std::result::Result<String, Violation> {
    let text = text.replace("\r\n", "\n");
    let text = text.trim();
    if text.is_empty() {
        return Err(violation("TEXT_EMPTY", "请填写正文"));
    }
    if text.chars().count() > LONGEST_BODY {
        return Err(violation("TEXT_LENGTH", "正文不超过 20000 个字，请缩短或分成几篇"));
    }
    if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\t') || turns_direction(c)) {
        return Err(violation("TEXT_CHARACTERS", "正文不能包含控制字符，请清除格式后重新粘贴"));
    }
    Ok(text.to_owned())
}

fn content(fields: &mut Fields, wire: Option<&ArticleContent>) -> Option<Content> {
    let wire = wire.cloned().unwrap_or_default();
    let kind = fields.take("content.kind", known(wire.kind));
    let title = fields.take("content.title", title(&wire.title));
    let summary = fields.take("content.summary", line(&wire.summary, LONGEST_SUMMARY));
    let body = fields.take("content.body", body(&wire.body));
    let pinned = wire.pinned;
    Some(Content { kind: kind?, title: title?, summary: summary?, body: body?, pinned })
}

/// The content as the contract has it.
pub(super) fn on_wire(content: &Content) -> ArticleContent {
    let Content { kind, title, summary, body, pinned } = content;
    ArticleContent {
        kind: kind.number().into(),
        title: title.clone(),
        summary: summary.clone(),
        body: body.clone(),
        pinned: *pinned,
    }
}

/// An article that is written.
#[derive(Debug, Clone)]
pub(super) struct New {
    pub(super) organization: OrganizationCode,
    pub(super) content: Content,
}

impl New {
    pub(super) fn parse(request: &CreateArticleRequest) -> Result<(RequestId, Self)> {
        let mut fields = Fields::new();
        let id = fields.take("request_id", RequestId::parse(&request.request_id));
        let code = OrganizationCode::parse(&request.organization_code);
        let code = fields.take("organization_code", code);
        let content = content(&mut fields, request.content.as_ref());
        let (Some(id), Some(organization), Some(content)) = (id, code, content) else {
            return Err(fields.into_error().into());
        };
        fields.finish()?;
        Ok((id, Self { organization, content }))
    }

    /// What it says in one spelling.
    pub(super) fn says(&self) -> CreateArticleRequest {
        CreateArticleRequest {
            request_id: String::new(),
            organization_code: self.organization.as_str().to_owned(),
            content: Some(on_wire(&self.content)),
        }
    }
}

/// What is done with an article that is there.
#[derive(Debug, Clone)]
pub(super) struct Change {
    pub(super) id: Uuid,
    /// As the caller has seen it; `None` where that does not matter.
    pub(super) revision: Option<i64>,
    /// What it is to say.
    pub(super) content: Option<Content>,
}

fn revision(fields: &mut Fields, etag: &str) -> Option<i64> {
    revision_of(fields, etag, "文章的版本标记无效，请刷新页面后重新操作")
}

impl Change {
    pub(super) fn update(request: &UpdateArticleRequest) -> Result<(RequestId, Self)> {
        let mut fields = Fields::new();
        let request_id = fields.take("request_id", RequestId::parse(&request.request_id));
        let id = fields.take("article_id", article(&request.article_id));
        let revision = revision(&mut fields, &request.etag);
        let content = content(&mut fields, request.content.as_ref());
        let (Some(request_id), Some(id), Some(revision), Some(content)) =
            (request_id, id, revision, content)
        else {
            return Err(fields.into_error().into());
        };
        fields.finish()?;
        Ok((request_id, Self { id, revision: Some(revision), content: Some(content) }))
    }

    pub(super) fn publish(request: &PublishArticleRequest) -> Result<(RequestId, Self)> {
        let mut fields = Fields::new();
        let request_id = fields.take("request_id", RequestId::parse(&request.request_id));
        let id = fields.take("article_id", article(&request.article_id));
        let revision = revision(&mut fields, &request.etag);
        let (Some(request_id), Some(id), Some(revision)) = (request_id, id, revision) else {
            return Err(fields.into_error().into());
        };
        fields.finish()?;
        Ok((request_id, Self { id, revision: Some(revision), content: None }))
    }

    pub(super) fn withdraw(request: &WithdrawArticleRequest) -> Result<(RequestId, Self)> {
        let mut fields = Fields::new();
        let request_id = fields.take("request_id", RequestId::parse(&request.request_id));
        let id = fields.take("article_id", article(&request.article_id));
        let (Some(request_id), Some(id)) = (request_id, id) else {
            return Err(fields.into_error().into());
        };
        fields.finish()?;
        Ok((request_id, Self { id, revision: None, content: None }))
    }

    /// What it says in one spelling.
    pub(super) fn says(&self) -> UpdateArticleRequest {
        UpdateArticleRequest {
            request_id: String::new(),
            article_id: self.id.to_string(),
            etag: self.revision.map(|revision| revision.to_string()).unwrap_or_default(),
            content: self.content.as_ref().map(on_wire),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_is_one_line_and_a_body_has_many() {
        assert_eq!(title(" 如何注册 ").unwrap(), "如何注册");
        for (text, reason) in [
            ("", "TEXT_EMPTY"),
            ("\u{3000}", "TEXT_EMPTY"),
            ("两\n行", "TEXT_CHARACTERS"),
            ("a\u{202e}b", "TEXT_CHARACTERS"),
            (&"字".repeat(LONGEST_TITLE + 1), "TEXT_LENGTH"),
        ] {
            assert_eq!(title(text).unwrap_err().reason, reason, "{text:?}");
        }
        assert_eq!(body("# 一\r\n\r\n二\n").unwrap(), "# 一\n\n二");
        for (text, reason) in [
            ("\n \n", "TEXT_EMPTY"),
            ("a\rb", "TEXT_CHARACTERS"),
            ("a\u{0}b", "TEXT_CHARACTERS"),
            ("a\u{2067}b", "TEXT_CHARACTERS"),
            (&"字".repeat(LONGEST_BODY + 1), "TEXT_LENGTH"),
        ] {
            assert_eq!(body(text).unwrap_err().reason, reason, "{text:?}");
        }
    }

    #[test]
    fn all_that_is_wrong_is_told_at_once() {
        let mut fields = Fields::new();
        let wire = ArticleContent { summary: "字".repeat(121), ..ArticleContent::default() };
        assert!(content(&mut fields, Some(&wire)).is_none());
        let faults = fields.into_error();
        for field in ["content.kind", "content.title", "content.summary", "content.body"] {
            assert!(format!("{faults:?}").contains(field), "{field} is not told");
        }
    }
}
